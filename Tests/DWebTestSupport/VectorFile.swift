public import Foundation

/// Recorded golden data: the folder in the environment variable `DWEB_VECTORS`, else `../shared/vectors`.
public enum VectorFile {
    /// Why a recorded file cannot be used. Tests fail with it: missing data is never skipped.
    public struct Missing: Error, CustomStringConvertible {
        /// What is missing and where it was looked for.
        public let description: String
    }

    /// The folder that holds the vectors.
    public static var folder: URL {
        if let path = ProcessInfo.processInfo.environment["DWEB_VECTORS"] { return URL(fileURLWithPath: path) }
        // Tests/DWebTestSupport/VectorFile.swift -> package root -> ../shared/vectors
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("../shared/vectors").standardizedFileURL
    }

    /// The bytes of the file at `path` inside the folder.
    public static func data(_ path: String) throws -> Data {
        let url = folder.appendingPathComponent(path)
        guard let data = FileManager.default.contents(atPath: url.path) else {
            throw Missing(
                description: "There is no vector file at \(url.path); set DWEB_VECTORS to the folder that has it.")
        }
        return data
    }

    /// The file at `path`, decoded from JSON as a tree.
    public static func json(_ path: String) throws -> JSONValue {
        try JSONDecoder().decode(JSONValue.self, from: try data(path))
    }
}
