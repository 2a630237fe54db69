import Foundation

/// Data recorded from reference implementations that travels with the tests, in `Tests/Fixtures`.
public enum FixtureFile {
    /// The file of this name, decoded from JSON as a tree.
    public static func json(_ name: String) throws -> JSONValue {
        // Tests/DWebTestSupport/FixtureFile.swift -> Tests/Fixtures
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures").appendingPathComponent(name)
        return try JSONDecoder().decode(JSONValue.self, from: try Data(contentsOf: url))
    }
}
