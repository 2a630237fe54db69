import DWeb

/// Replication between two stores of one process, without a network.
enum BenchInside {
    /// What both sides together spend on `count` blocks of `size` bytes, each side on a thread of its own.
    static func cost(count: UInt64, size: Int, isMemory: Bool) async throws -> BenchCost {
        try await BenchStore.with(isMemory: isMemory) { _, writing in
            let source = try await writing.database(named: "bench")
            try await BenchStore.fill(source, count: count, size: size)
            let key = source.key
            return try await BenchStore.with(isMemory: isMemory) { _, reading in
                let copy = try await reading.database(key: key)
                let (near, far) = DuplexPipe.makePair()
                return try await withThrowingTaskGroup(of: BenchCost?.self) { group in
                    group.addTask {
                        try await writing.replicate(over: near, isInitiator: true)
                        return nil
                    }
                    group.addTask {
                        try await reading.replicate(over: far, isInitiator: false)
                        return nil
                    }
                    group.addTask {
                        while copy.length < count { _ = try await copy.update(upTo: .seconds(1)) }
                        return try await BenchStore.cost { try await copy.download(0..<count) }
                    }
                    defer { group.cancelAll() }
                    while let result = try await group.next() {
                        if let result { return result }
                    }
                    throw CommandFailure(.failure, "Replication ended early.")
                }
            }
        }
    }
}
