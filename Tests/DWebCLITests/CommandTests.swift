import ArgumentParser
import DWeb
import Foundation
import Testing

@testable import DWebCLI

/// The program's commands as a whole: every one says what it and its options do.
@Suite struct CommandTests {
    private static func commands() throws -> [(path: String, command: ManualPage.Command)] {
        let tool = try JSONDecoder().decode(ManualPage.Tool.self, from: Data(DWebCommand._dumpHelp().utf8))
        var result: [(String, ManualPage.Command)] = []
        func add(_ command: ManualPage.Command, _ path: String) {
            result.append((path, command))
            for child in command.subcommands ?? [] where child.commandName != "help" {
                add(child, path + " " + child.commandName)
            }
        }
        add(tool.command, "dweb")
        return result
    }

    @Test func everyCommandAndOptionHasASentence() throws {
        let commands = try Self.commands()
        #expect(commands.count > 40)
        for (path, command) in commands where command.shouldDisplay ?? true {
            #expect(command.abstract?.hasSuffix(".") == true, "\(path)")
            for argument in command.arguments ?? [] where argument.shouldDisplay {
                let name = argument.names?.first?.name ?? argument.valueName ?? "?"
                #expect(argument.abstract?.isEmpty == false, "\(path) \(name)")
            }
        }
    }

    @Test func theManualPageNamesEveryCommand() throws {
        let commands = try Self.commands()
        let page = ManualPage.text(try #require(commands.first).command)
        for (path, command) in commands.dropFirst() where command.shouldDisplay ?? true {
            #expect(page.contains(".SS \"\(path.replacingOccurrences(of: "-", with: "\\-"))"), "\(path)")
        }
        for line in page.split(separator: "\n") where line.hasPrefix(".") {
            #expect([".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".br"].contains { line.hasPrefix($0) }, "\(line)")
        }
    }

    @Test func aLogIsFollowedFromWhereItIsAsked() throws {
        #expect(try LogTailStart("10").index(length: 12) == 2)
        #expect(try LogTailStart("10").index(length: 3) == 0)
        #expect(try LogTailStart("0").index(length: 3) == 3)
        #expect(try LogTailStart("+2").index(length: 12) == 2)
        #expect(try LogTailStart("all").index(length: 12) == 0)
        for text in ["", "-1", "+", "ten"] { #expect(throws: (any Error).self) { try LogTailStart(text) } }
    }

    @Test func countsAgreeWithTheirNouns() {
        #expect([0, 1, 2].map { Format.count($0, "peer") } == ["0 peers", "1 peer", "2 peers"])
    }

    @Test func drivesAreNamedByKeyPathOrName() throws {
        let key = PublicKey(Bytes32(repeating: 9))
        for text in [key.text, key.hex, "hyper://\(key.text)/some/file", "pear://\(key.text)/x"] {
            guard case .key(let found) = try DriveReference(text) else {
                Issue.record("\(text) is a key")
                continue
            }
            #expect(found == key)
        }
        guard case .name("notes") = try DriveReference("notes"), case .name("a/b") = try DriveReference("drive:a/b"),
            case .path(let path) = try DriveReference("./x")
        else {
            Issue.record("names and paths")
            return
        }
        #expect(path.hasPrefix("/") && path.hasSuffix("/x"))
        #expect(throws: (any Error).self) { try DriveReference("") }
    }
}
