#if Daemon
    import Foundation
    public import Logging

    /// Writes a line per event to standard error, as text or as JSON, and keeps the newest ones.
    public struct DaemonLogHandler: LogHandler {
        /// What every line carries.
        public var metadata: Logger.Metadata = [:]
        /// The least important level that is written.
        public var logLevel: Logger.Level
        private let label: String
        private let isJSON: Bool
        private let buffer: LogBuffer
        private let write: @Sendable (String) -> Void

        /// A handler.
        ///
        /// - Parameters:
        ///   - label: The part of the program that speaks.
        ///   - level: The least important level that is written.
        ///   - isJSON: Whether each line is a JSON object.
        ///   - buffer: Where the newest lines are kept.
        ///   - write: Where lines go; standard error unless told otherwise.
        public init(
            label: String, level: Logger.Level, isJSON: Bool, buffer: LogBuffer,
            write: @escaping @Sendable (String) -> Void = DaemonLogHandler.writeToStandardError
        ) {
            self.label = label
            logLevel = level
            self.isJSON = isJSON
            self.buffer = buffer
            self.write = write
        }

        /// Writes a line to standard error.
        public static func writeToStandardError(_ line: String) {
            FileHandle.standardError.write(Data((line + "\n").utf8))
        }

        /// A piece of metadata.
        public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        /// Writes one event.
        public func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }
            let time = DaemonLogHandler.time(Date())
            let line: String
            if isJSON {
                var object: [String: String] = all.mapValues { "\($0)" }
                object["time"] = time
                object["level"] = event.level.rawValue
                object["source"] = label
                object["message"] = "\(event.message)"
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
                line = (try? encoder.encode(object)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
            } else {
                let pairs = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
                // A line stays a line, whatever a peer put into a message.
                line = "\(time) \(event.level.rawValue) \(label): \(event.message)\(pairs)"
                    .replacingOccurrences(of: "\n", with: " ")
            }
            buffer.add(line)
            write(line)
        }

        private static func time(_ date: Date) -> String {
            date.formatted(
                .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
        }
    }
#endif
