import ArgumentParser
import DWeb

/// `dweb completions`: what a shell needs to complete commands and options.
struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions", abstract: "Write a script that makes a shell complete commands and options.",
        discussion: """
            bash: dweb completions bash > ~/.local/share/bash-completion/completions/dweb
            zsh: dweb completions zsh > a file called _dweb in a folder of $fpath
            fish: dweb completions fish > ~/.config/fish/completions/dweb.fish
            """)

    enum Shell: String, CaseIterable, ExpressibleByArgument {
        case bash
        case zsh
        case fish
    }

    @Argument(help: "The shell: bash, zsh or fish.")
    var shell: Shell

    func run() throws {
        let form: CompletionShell =
            switch shell {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        print(DWebCommand.completionScript(for: form))
    }
}
