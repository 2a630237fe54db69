import ArgumentParser
import DWeb
import DWebEssentials

/// `dweb manual`: the manual page, made from what the program itself knows of its commands.
struct ManualCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual", abstract: "Write the manual page, in the format of man(1).",
        discussion: "To read it: dweb manual > dweb.1 && man ./dweb.1")

    func run() throws {
        guard let dump = try? JSONDecoder().decode(ManualPage.Tool.self, from: Data(DWebCommand._dumpHelp().utf8))
        else {
            throw CommandFailure(.failure, "The commands cannot be described.")
        }
        print(ManualPage.text(dump.command), terminator: "")
    }
}

/// Turns the parser's description of the commands into a manual page.
enum ManualPage {
    /// The parser's description, as far as the page needs it.
    struct Tool: Decodable {
        let command: Command
    }

    struct Command: Decodable {
        let commandName: String
        let abstract: String?
        let discussion: String?
        let shouldDisplay: Bool?
        let subcommands: [Command]?
        let arguments: [Argument]?
    }

    struct Argument: Decodable {
        struct Name: Decodable {
            let kind: String
            let name: String

            var text: String { kind == "long" ? "--\(name)" : "-\(name)" }
        }

        let kind: String
        let shouldDisplay: Bool
        let isOptional: Bool
        let isRepeating: Bool
        let names: [Name]?
        let valueName: String?
        let abstract: String?
    }

    /// The page.
    static func text(_ root: Command) -> String {
        var lines = [
            ".TH DWEB 1 \"\" \"dweb \(DWebVersion.text)\" \"User Commands\"", ".SH NAME",
            "dweb \\- \(escaped(root.abstract ?? ""))", ".SH SYNOPSIS", ".B dweb", ".I command", "[options]",
            ".SH DESCRIPTION", escaped(root.discussion ?? ""),
        ]
        lines.append(".SH COMMANDS")
        for command in root.subcommands ?? [] where command.commandName != "help" {
            append(command, path: "dweb", to: &lines)
        }
        lines += [
            ".SH ENVIRONMENT", ".TP", ".B DWEB_HOME", "Where drives are kept. Default: ~/.dweb.", ".TP",
            ".B DWEB_STORE", "A store to use for everything.", ".TP", ".B DWEB_PASSPHRASE",
            "The passphrase of sealed keys.",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    private static func append(_ command: Command, path: String, to lines: inout [String]) {
        guard command.shouldDisplay ?? true else { return }
        let name = "\(path) \(command.commandName)"
        let arguments = (command.arguments ?? []).filter { $0.shouldDisplay && $0.names?.first?.name != "help" }
        if command.subcommands?.filter({ $0.commandName != "help" }).isEmpty ?? true {
            lines += [".SS \"\(escaped(name))\(arguments.filter { $0.kind == "positional" }.map(synopsis).joined())\""]
        } else {
            lines += [".SS \"\(escaped(name))\""]
        }
        if let abstract = command.abstract { lines.append(escaped(abstract)) }
        if let discussion = command.discussion, !discussion.isEmpty { lines += [".PP", escaped(discussion)] }
        for argument in arguments where argument.names?.first?.name != "version" || argument.kind != "flag" {
            lines.append(".TP")
            if argument.kind == "positional" {
                lines.append(".I \(escaped(argument.valueName ?? "value"))")
            } else {
                let names = (argument.names ?? []).map(\.text).joined(separator: ", ")
                let value = argument.kind == "option" ? " \\fI\(escaped(argument.valueName ?? "value"))\\fR" : ""
                lines.append("\\fB\(escaped(names))\\fR\(value)")
            }
            lines.append(escaped(argument.abstract ?? ""))
        }
        for subcommand in command.subcommands ?? [] where subcommand.commandName != "help" {
            append(subcommand, path: name, to: &lines)
        }
    }

    private static func synopsis(_ argument: Argument) -> String {
        let name = escaped(argument.valueName ?? "value").uppercased() + (argument.isRepeating ? " ..." : "")
        return argument.isOptional ? " [\(name)]" : " \(name)"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
            .split(separator: "\n", omittingEmptySubsequences: false)
            // A line that starts with a dot or an apostrophe would be a command.
            .map { $0.hasPrefix(".") || $0.hasPrefix("'") ? "\\&" + $0 : String($0) }.joined(separator: "\n.br\n")
    }
}
