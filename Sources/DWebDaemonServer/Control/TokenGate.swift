#if Daemon
    import Foundation
    import GRPCCore

    /// Lets only calls in that carry the token, as `authorization: Bearer TOKEN`.
    struct TokenGate: ServerInterceptor {
        private let expected: [UInt8]

        init(token: String) { expected = Array("Bearer \(token)".utf8) }

        @concurrent
        func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingServerRequest<Input>, context: ServerContext,
            next:
                @concurrent @Sendable (
                    _ request: StreamingServerRequest<Input>, _ context: ServerContext
                ) async throws -> StreamingServerResponse<Output>
        ) async throws -> StreamingServerResponse<Output> {
            for value in request.metadata[stringValues: "authorization"] where isExpected(value) {
                return try await next(request, context)
            }
            throw RPCError(code: .unauthenticated, message: "The call carries no valid token.")
        }

        /// Compares in a time that does not tell how much is right.
        private func isExpected(_ value: String) -> Bool {
            let given = Array(value.utf8)
            guard given.count == expected.count else { return false }
            return zip(given, expected).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
        }
    }

    /// The secret that control over TCP asks for: 32 random bytes, kept in a file of the owner's.
    enum ControlToken {
        /// Reads the token, or makes one.
        static func load(_ path: String) throws(DaemonProcessError) -> String {
            if let text = read(path) { return text }
            var generator = SystemRandomNumberGenerator()
            let text = (0..<4).map { _ in
                let digits = String(generator.next() as UInt64, radix: 16)
                return String(repeating: "0", count: 16 - digits.count) + digits
            }.joined()
            let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else {
                throw DaemonProcessError(.files, "The token \(path) cannot be written: \(systemReason())")
            }
            defer { close(descriptor) }
            let bytes = Array((text + "\n").utf8)
            guard fchmod(descriptor, 0o600) == 0, write(descriptor, bytes, bytes.count) == bytes.count else {
                throw DaemonProcessError(.files, "The token \(path) cannot be written: \(systemReason())")
            }
            return text
        }

        /// The token, if there is one.
        static func read(_ path: String) -> String? {
            guard let data = FileManager.default.contents(atPath: path) else { return nil }
            let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            return text.count == 64 ? text : nil
        }
    }
#endif
