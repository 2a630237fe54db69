import DWebBase
import DWebLogCore
import Testing

@Suite struct FlatTreeTests {
    @Test func arithmeticAgreesWithItsDefinitions() {
        for index in UInt64(0)..<600 {
            var depth: UInt64 = 0
            while (index >> depth) & 1 == 1 { depth += 1 }
            #expect(FlatTree.depth(index) == depth)
            let offset = ((index + 1) / (1 << depth) - 1) / 2
            #expect(FlatTree.offset(index) == offset)
            #expect(FlatTree.index(depth: depth, offset: offset) == index)
            #expect(FlatTree.sibling(index) == FlatTree.index(depth: depth, offset: offset ^ 1))
            #expect(FlatTree.parent(index) == FlatTree.index(depth: depth + 1, offset: offset / 2))
            #expect(FlatTree.isLeftChild(index) == (offset % 2 == 0))
            #expect(FlatTree.leftSpan(index) == 2 * offset << depth)
            #expect(FlatTree.rightSpan(index) == 2 * (offset + 1) << depth - 2)
            if depth > 0 {
                #expect(FlatTree.leftChild(index) == FlatTree.index(depth: depth - 1, offset: 2 * offset))
                #expect(FlatTree.rightChild(index) == FlatTree.index(depth: depth - 1, offset: 2 * offset + 1))
            } else {
                #expect(FlatTree.leftChild(index) == nil && FlatTree.rightChild(index) == nil)
            }
        }
    }

    @Test func nothingTrapsAtTheEndsOfTheRange() {
        for index: UInt64 in [0, ByteReader.integerLimit, 2 * ByteReader.integerLimit, 1 << 62, .max - 1, .max] {
            _ = FlatTree.depth(index)
            _ = FlatTree.offset(index)
            _ = FlatTree.sibling(index)
            _ = FlatTree.parent(index)
            _ = FlatTree.leftChild(index)
            _ = FlatTree.rightChild(index)
            _ = FlatTree.leftSpan(index)
            _ = FlatTree.rightSpan(index)
            _ = FlatTree.leafCount(index)
            _ = FlatTree.contains(index, index)
            _ = Array(FlatTree.fullRoots(length: index))
        }
    }

    @Test func connectionListsWhatGrowthNeeds() {
        // The reference outputs of spec 30 section D.2 for plain upgrades.
        #expect(FlatTree.connection(from: 0, to: 11) == [7, 17, 20])
        #expect(FlatTree.connection(from: 0, to: 5) == [3, 8])
        #expect(FlatTree.connection(from: 5, to: 11) == [10, 13, 17, 20])
        #expect(FlatTree.connection(from: 3, to: 11) == [6, 11, 17, 20])
        #expect(FlatTree.connection(from: 3, to: 7) == [6, 9, 12])
        #expect(FlatTree.connection(from: 7, to: 11) == [14, 17, 20])
        #expect(FlatTree.connection(from: 8, to: 11) == [17, 20])
        #expect(FlatTree.connection(from: 11, to: 11) == [])
        for end in UInt64(1)..<70 {
            for start in 0..<end {
                var blocks: [UInt64] = []
                for node in FlatTree.connection(from: start, to: end) { blocks += Array(FlatTree.blocks(below: node)) }
                #expect(blocks == Array(start..<end), "\(start) to \(end)")
            }
        }
    }

    @Test func treesHaveLimits() {
        func node(_ index: UInt64, size: UInt64 = 0) -> TreeNode { TreeNode(index: index, size: size, hash: .zero) }
        let widest = FlatTree.fullRoots(length: LogLimits.length).map { node($0) }
        #expect(MerkleTree(fork: 0, length: LogLimits.length, roots: widest)?.length == LogLimits.length)
        let wider = FlatTree.fullRoots(length: LogLimits.length + 1).map { node($0) }
        #expect(MerkleTree(fork: 0, length: LogLimits.length + 1, roots: wider) == nil)
        // Roots that are not those of the length, or sizes that no sum can hold.
        #expect(MerkleTree(fork: 0, length: 3, roots: [node(1), node(2)]) == nil)
        #expect(MerkleTree(fork: 0, length: 3, roots: [node(1)]) == nil)
        #expect(MerkleTree(fork: 0, length: 3, roots: [node(1, size: .max), node(4, size: 1)]) == nil)
        let limit = LogLimits.treeByteLength
        #expect(MerkleTree(fork: 0, length: 3, roots: [node(1, size: limit), node(4, size: 1)]) == nil)

        var nodes: [TreeNode] = []
        var tree = MerkleTree(fork: 0, length: LogLimits.length, roots: widest) ?? MerkleTree()
        #expect(throws: ProofError.invalidOperation(.treeTooLarge)) {
            try tree.append(root: node(2 * LogLimits.length), collecting: &nodes)
        }
        tree = MerkleTree(fork: 0, length: 3, roots: [node(1, size: limit), node(4)]) ?? MerkleTree()
        #expect(throws: ProofError.invalidOperation(.treeTooLarge)) {
            try tree.append(root: node(6, size: 1), collecting: &nodes)
        }
        for misplaced: UInt64 in [0, 4, 8, 7, 13] {
            #expect(throws: ProofError.invalidOperation(.unexpectedNode(misplaced))) {
                try tree.append(root: node(misplaced), collecting: &nodes)
            }
        }
        #expect(nodes.isEmpty && tree.length == 3)
    }

    @Test func truncationDeletesExactlyTheNodesThatReachBehindTheCut() {
        for old in UInt64(1)..<40 {
            let stored = (0..<(2 * old)).filter { FlatTree.rightSpan($0) < 2 * old }
            for length in 0...old {
                let truncation = TreeTruncation(from: old, to: length)
                let deleted = stored.filter {
                    truncation.nodes.contains($0) || truncation.crossingNodes.contains($0)
                }
                #expect(deleted == stored.filter { FlatTree.rightSpan($0) >= 2 * length }, "\(old) to \(length)")
                #expect(truncation.blocks == length..<old)
                #expect(truncation.crossingNodes.allSatisfy { $0 < 2 * length })
            }
        }
    }
}
