import Foundation
import Testing

/// `docs/conformance.md` is true as far as a program can tell: it has a row for every statement of every checklist, and
/// every test that it names exists.
@Suite struct ConformanceTests {
    /// How many statements the checklist of each specification has.
    private static let itemCounts = ["00": 36, "10": 46, "20": 62, "30": 47, "40": 40, "50": 60]
    /// What may stand in the place of a test, or behind one, with the reason after a colon.
    private static let gaps = ["not implemented yet:", "no test yet:"]

    private struct Row {
        let specification: String
        let number: Int
        let statement: String
        let evidence: String

        /// The tests that the row names, each as `Suite/function`.
        var tests: [String] {
            evidence.split(separator: "`", omittingEmptySubsequences: false).enumerated()
                .filter { $0.offset % 2 == 1 && $0.element.contains("/") }.map { String($0.element) }
        }
    }

    // Where the sources are links, what they link to counts.
    private static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    private static func rows() throws -> [Row] {
        let url = root.appendingPathComponent("docs/conformance.md")
        var specification = ""
        var rows: [Row] = []
        for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n") {
            if line.hasPrefix("## ") {
                specification = line.firstRange(of: "spec/").map { String(line[$0.upperBound...].prefix(2)) } ?? ""
                continue
            }
            guard !specification.isEmpty, line.hasPrefix("| ") else { continue }
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast()
                .map { $0.trimmingCharacters(in: .whitespaces) }
            guard let number = cells.first.flatMap({ Int($0) }) else { continue }
            try #require(cells.count == 3, "a row has three cells: \(line)")
            rows.append(
                Row(specification: specification, number: number, statement: cells[1], evidence: cells[2]))
        }
        return rows
    }

    /// Every test in the package as `Suite/function`, and every suite.
    private static func existingTests() throws -> (tests: Set<String>, suites: Set<Substring>) {
        let files = try #require(
            FileManager.default.enumerator(
                at: root.appendingPathComponent("Tests"), includingPropertiesForKeys: nil))
        var tests: Set<String> = []
        var suites: Set<Substring> = []
        for case let url as URL in files where url.pathExtension == "swift" {
            var suite = ""
            var isTest = false
            // What stands in a condition is indented by as much.
            var margin = 0
            for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n") {
                let indentation = line.prefix { $0 == " " }.count
                let text = line.dropFirst(indentation)
                if indentation == margin, text.hasPrefix("#if ") { margin += 4 }
                if indentation == margin - 4, text.hasPrefix("#endif") { margin -= 4 }
                if indentation == margin, let name = declaredType(text) { suite = name }
                if text.hasPrefix("@Suite"), let range = text.firstRange(of: "struct ") {
                    suites.insert(text[range.upperBound...].prefix { $0.isLetter || $0.isNumber })
                }
                if line.contains("@Test") { isTest = true }
                guard let range = line.firstRange(of: "func ") else { continue }
                if isTest { tests.insert("\(suite)/\(line[range.upperBound...].prefix { $0 != "(" && $0 != "<" })") }
                isTest = false
            }
        }
        return (tests, suites)
    }

    /// The name of the type that a line at the outermost level declares or extends.
    private static func declaredType(_ line: Substring) -> String? {
        guard !line.hasPrefix("//") else { return nil }
        for keyword in ["struct ", "class ", "enum ", "actor ", "extension "] {
            if let range = line.firstRange(of: keyword) {
                return String(line[range.upperBound...].prefix { $0.isLetter || $0.isNumber || $0 == "_" })
            }
        }
        return nil
    }

    @Test func everyStatementHasOneRow() throws {
        let rows = try Self.rows()
        for (specification, count) in Self.itemCounts {
            let numbers = rows.filter { $0.specification == specification }.map(\.number)
            #expect(numbers == Array(1...count), "spec/\(specification) has \(count) statements, in order")
        }
        #expect(Set(rows.map(\.specification)) == Set(Self.itemCounts.keys))
    }

    @Test func everyRowNamesATestOrSaysWhatIsMissing() throws {
        for row in try Self.rows() {
            let place = "spec/\(row.specification) item \(row.number)"
            #expect(!row.statement.isEmpty, "\(place) says nothing")
            let isGap = Self.gaps.contains { row.evidence.contains($0) }
            #expect(!row.tests.isEmpty || isGap, "\(place) has neither a test nor a reason")
        }
    }

    @Test func everyNamedTestExists() throws {
        let (existing, suites) = try Self.existingTests()
        #expect(existing.count > 100)
        // No suite is overlooked.
        let suitesOfTests = Set(existing.map { $0.prefix { $0 != "/" } })
        #expect(suites.subtracting(suitesOfTests).isEmpty)
        for row in try Self.rows() {
            for test in row.tests {
                #expect(existing.contains(test), "spec/\(row.specification) item \(row.number) names \(test)")
            }
        }
        // The findings name tests as well, among other things in the same type.
        let text = try String(contentsOf: Self.root.appendingPathComponent("docs/conformance.md"), encoding: .utf8)
        for (index, quoted) in text.split(separator: "`", omittingEmptySubsequences: false).enumerated() {
            let parts = quoted.split(separator: "/")
            guard index % 2 == 1, parts.count == 2, parts[0].hasSuffix("Tests"), parts[1].first?.isLowercase == true
            else { continue }
            #expect(existing.contains(String(quoted)), "the page names \(quoted)")
        }
    }

    /// The figures at the head of the document are those of its tables.
    @Test func theSummaryIsRight() throws {
        let text = try String(contentsOf: Self.root.appendingPathComponent("docs/conformance.md"), encoding: .utf8)
        let rows = try Self.rows()
        let missing = rows.count { $0.evidence.contains(Self.gaps[0]) }
        let untested = rows.count { $0.evidence.contains(Self.gaps[1]) && !$0.evidence.contains(Self.gaps[0]) }
        let tested = rows.count - missing - untested
        let gaps =
            "\(missing) not implemented, wholly or in part, \(untested) implemented with a part that no test covers."
        let summary = "\(rows.count) statements: \(tested) tested, \(gaps)"
        #expect(text.contains(summary), "it should say: \(summary)")
    }
}
