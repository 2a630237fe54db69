import DWebLogCore
import Testing

/// A tree does not depend on whether its blocks came one by one or together.
@Suite struct TreeAppendTests {
    @Test func togetherIsLikeOneByOne() {
        let blocks = testBlocks(140)
        for start in 0..<70 {
            var before = MerkleTree()
            var ignored: [TreeNode] = []
            for block in blocks[..<start] { before.append(block: block, collecting: &ignored) }
            var (single, singleNodes) = (before, [TreeNode]())
            for count in 0..<70 {
                var (whole, wholeNodes) = (before, [TreeNode]())
                whole.append(blocks: Array(blocks[start..<start + count]), collecting: &wholeNodes)
                #expect(whole == single)
                #expect(wholeNodes.count == singleNodes.count)
                #expect(Set(wholeNodes) == Set(singleNodes))
                single.append(block: blocks[start + count], collecting: &singleNodes)
            }
        }
    }
}
