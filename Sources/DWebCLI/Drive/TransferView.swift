import DWeb
import DWebEssentials

/// Runs transfers and shows how far they are.
enum TransferView {
    /// Runs a transfer, with a line of progress where somebody watches.
    static func run(_ transfer: DriveTransfer, _ label: String, _ console: Console) async throws -> TransferSummary {
        guard Console.isTerminal, !console.isQuiet else { return try await transfer.run() }
        return try await withThrowingTaskGroup(of: TransferSummary?.self) { group in
            group.addTask { try await transfer.run() }
            group.addTask {
                for await progress in transfer.progress { console.showProgress(line(label, progress)) }
                return nil
            }
            defer { console.endProgress() }
            var summary: TransferSummary?
            while let outcome = try await group.next() { summary = outcome ?? summary }
            guard let summary else { throw CancellationError() }
            return summary
        }
    }

    /// One line about the state of a transfer: files, bytes, rate, time left, peers, path.
    static func line(_ label: String, _ progress: TransferProgress) -> String {
        guard progress.phase != .listing else { return "\(label): looking at what there is ..." }
        var parts: [String] = []
        var files = "\(Format.count(UInt64(progress.fileCount)))"
        if let total = progress.totalFileCount { files += " of \(Format.count(UInt64(total)))" }
        parts.append(files + " files")
        var bytes = Format.bytes(progress.byteCount)
        if let total = progress.totalByteCount, total > 0 {
            bytes += " of \(Format.bytes(total)) (\(min(100, progress.byteCount * 100 / total)) %)"
        }
        parts.append(bytes)
        if progress.bytesPerSecond > 0 { parts.append(Format.rate(progress.bytesPerSecond)) }
        if let rest = progress.remainingTime { parts.append("\(Format.duration(seconds: rest.seconds)) left") }
        if progress.peerCount > 0 {
            parts.append(progress.peerCount == 1 ? "1 peer" : "\(progress.peerCount) peers")
        }
        let text = "\(label): " + parts.joined(separator: ", ")
        guard let path = progress.path, text.count < 90 else { return text }
        return "\(text), \(path.suffix(max(10, 110 - text.count)))"
    }

    /// Says what was left out, and fails if anything was.
    static func check(_ summary: TransferSummary, _ console: Console, advice: String = "") throws {
        guard summary.refusalCount > 0 else { return }
        for refusal in summary.refusals.prefix(20) { console.say("Left out: \(refusal.path): \(refusal.reason).") }
        let count = summary.refusalCount
        throw CommandFailure(
            .failure,
            "\(count) \(count == 1 ? "path was" : "paths were") left out." + (advice.isEmpty ? "" : " \(advice)"))
    }
}

/// What a transfer did, for scripts.
struct TransferReport: Encodable {
    let key: String
    let version: UInt64
    let added: Int
    let changed: Int
    let removed: Int
    let equal: Int
    let refused: Int
    let byteCount: UInt64
    let seconds: Double
    let path: String?
    let downloadedBlocks: UInt64?
    let downloadedBytes: UInt64?

    init(
        _ drive: DDrive, _ summary: TransferSummary, seconds: Double, path: String?,
        downloads: DDatabase.Statistics? = nil
    ) {
        key = drive.key.text
        version = summary.version
        added = summary.addedCount
        changed = summary.changedCount
        removed = summary.removedCount
        equal = summary.equalCount
        refused = summary.refusalCount
        byteCount = summary.byteCount
        self.seconds = seconds
        self.path = path
        downloadedBlocks = downloads?.downloadedBlockCount
        downloadedBytes = downloads?.downloadedByteCount
    }

    /// One sentence for people.
    var text: String {
        var parts: [String] = []
        if added > 0 { parts.append("\(Format.count(UInt64(added))) new") }
        if changed > 0 { parts.append("\(Format.count(UInt64(changed))) changed") }
        if removed > 0 { parts.append("\(Format.count(UInt64(removed))) removed") }
        if equal > 0 { parts.append("\(Format.count(UInt64(equal))) unchanged") }
        if parts.isEmpty { parts.append("nothing to do") }
        return parts.joined(separator: ", ") + "; \(Format.bytes(byteCount)) in \(Format.duration(seconds: seconds))"
    }
}

/// One step of a mirror, for scripts and for dry runs.
struct MirrorStep: Encodable {
    let operation: String
    let path: String
    let addedBytes: UInt64
    let removedBytes: UInt64
    let reason: String?

    init(_ event: MirrorEvent) {
        var reason: String?
        switch event.operation {
        case .add: operation = "add"
        case .change: operation = "change"
        case .remove: operation = "remove"
        case .equal: operation = "equal"
        case .refuse(let text):
            operation = "refuse"
            reason = text
        }
        self.reason = reason
        path = event.path
        addedBytes = event.addedByteCount
        removedBytes = event.removedByteCount
    }

    /// A line for people.
    var text: String {
        let sign =
            switch operation {
            case "add": "+"
            case "change": "~"
            case "remove": "-"
            case "refuse": "!"
            default: "="
            }
        return "\(sign) \(path)" + (reason.map { ": \($0)" } ?? "")
    }
}
