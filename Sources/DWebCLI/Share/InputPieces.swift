import DWebEssentials
import Dispatch
import Synchronization

/// What comes from a pipe, in pieces of bounded size, read by a thread that may wait.
struct InputPieces: AsyncSequence {
    typealias Element = [UInt8]

    // A few blocks of the content log at once.
    private static let pieceByteCount = 256 << 10

    private let descriptor: FileDescriptor

    /// The rest of a file or pipe.
    init(_ descriptor: FileDescriptor) { self.descriptor = descriptor }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(descriptor: descriptor) }

    struct AsyncIterator: AsyncIteratorProtocol {
        private let reader: Reader

        init(descriptor: FileDescriptor) { reader = Reader(descriptor) }

        mutating func next() async throws -> [UInt8]? {
            let reader = reader
            let piece = try await withTaskCancellationHandler {
                try await reader.next()
            } onCancel: {
                reader.isCancelled.withLock { $0 = true }
            }
            try Task.checkCancellation()
            return piece
        }
    }

    /// Reads on a queue of its own, and looks up now and then whether anybody still wants the bytes.
    private final class Reader: Sendable {
        private static let lookMilliseconds: Int32 = 100

        let isCancelled = Mutex(false)
        private let descriptor: FileDescriptor
        private let queue = DispatchQueue(label: "dweb.input")

        init(_ descriptor: FileDescriptor) { self.descriptor = descriptor }

        func next() async throws -> [UInt8]? {
            try await withCheckedThrowingContinuation { continuation in
                queue.async {
                    var number: Int32 = 0
                    let bytes = [UInt8](unsafeUninitializedCapacity: InputPieces.pieceByteCount) { buffer, filled in
                        filled = 0
                        while filled < buffer.count, !self.isCancelled.withLock({ $0 }) {
                            var waiting = pollfd(fd: self.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
                            if poll(&waiting, 1, Reader.lookMilliseconds) == 0 { continue }
                            let count = read(
                                self.descriptor.rawValue, buffer.baseAddress! + filled, buffer.count - filled)
                            if count < 0, errno == EINTR { continue }
                            if count < 0 { number = errno }
                            if count <= 0 { return }
                            filled += count
                        }
                    }
                    if number == 0 {
                        continuation.resume(returning: bytes.isEmpty ? nil : bytes)
                    } else {
                        continuation.resume(
                            throwing: CommandFailure(.storage, "The input cannot be read: \(Errno(rawValue: number))."))
                    }
                }
            }
        }
    }
}
