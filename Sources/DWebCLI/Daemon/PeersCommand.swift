#if Daemon
    import ArgumentParser
    import DWeb
    import DWebDaemonProto
    import DWebDaemonServer
    import Foundation
    import SwiftProtobuf

    /// `dweb peers`: who the daemon is connected with.
    struct PeersCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "peers", abstract: "List the peers of the daemon: address, path, round trip, traffic.")

        @Flag(help: "Also list known peers that are not connected, and why they are not.")
        var all = false

        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var output: OutputOptions

        private struct Line: Encodable {
            let key: String
            let isConnected: Bool
            let address: String
            let path: String
            let state: String
            let lastFailure: String?
            let roundTripMilliseconds: Double?
            let downloadedBytes: UInt64
            let uploadedBytes: UInt64
            let topics: [String]
        }

        func run() async throws {
            let peers = try await daemon.withDaemon { calls, _ in
                try await calls.listPeers(.with { $0.connectedOnly = !all }, options: ControlClient.options).peers
            }
            if peers.isEmpty { output.console.say(all ? "No peer is known." : "No peer is connected.") }
            for peer in peers {
                let trip = peer.roundTripMicroseconds == 0 ? nil : Double(peer.roundTripMicroseconds) / 1_000
                let line = Line(
                    key: peer.publicKey.keyText, isConnected: peer.isConnected, address: peer.address,
                    path: peer.path, state: peer.state, lastFailure: peer.lastFailure.isEmpty ? nil : peer.lastFailure,
                    roundTripMilliseconds: trip, downloadedBytes: peer.downloadedBytes,
                    uploadedBytes: peer.uploadedBytes, topics: peer.topics.map(\.discoveryText))
                var parts = [line.key]
                if peer.isConnected { parts += [peer.address, peer.path] }
                parts.append(peer.state)
                if let trip { parts.append(String(format: "%.1f ms", trip)) }
                if peer.isConnected {
                    parts.append("got \(Format.bytes(peer.downloadedBytes)), gave \(Format.bytes(peer.uploadedBytes))")
                }
                if let failure = line.lastFailure { parts.append("last failure: \(failure)") }
                output.console.emit(line, text: parts.joined(separator: "  "))
            }
        }
    }

    /// `dweb limits`: what the daemon may use, and what it does.
    struct LimitsCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "limits", abstract: "Show the daemon's limits and what is used of them, or change them.",
            discussion: """
                Sizes are bytes, or numbers with a unit such as 500MB or 2TiB; 'none' lifts the limit of storage. When \
                seeds need more than the limit, those of the lowest priority and the least recent activity lose their \
                content first.
                """)

        @Option(help: "The most bytes that all seeds together may take, or none.")
        var storage: String?

        @Option(help: "The bytes that stay free on the disk: below that nothing is downloaded.")
        var freeSpace: String?

        @Option(help: "The most peers to stay connected with; applies when the daemon starts again.")
        var peers: UInt32?

        @Option(help: "The most keys that may be seeded.")
        var seeds: UInt32?

        @OptionGroup var daemon: DaemonOptions
        @OptionGroup var output: OutputOptions

        private struct Line: Encodable {
            let limit: String
            let used: UInt64
            let allowed: UInt64?
        }

        func run() async throws {
            let request = try Dweb_V1_SetLimitsRequest.with {
                if let storage { $0.storageBytes = storage == "none" ? 0 : try ByteSize.parse(storage) }
                if let freeSpace { $0.freeSpaceFloor = try ByteSize.parse(freeSpace) }
                if let peers { $0.peers = peers }
                if let seeds { $0.seeds = seeds }
            }
            let isChange = request.hasStorageBytes || request.hasFreeSpaceFloor || request.hasPeers || request.hasSeeds
            let answer = try await daemon.withDaemon { calls, _ in
                if isChange { _ = try await calls.setLimits(request, options: ControlClient.options) }
                return try await calls.getLimits(Dweb_V1_GetLimitsRequest(), options: ControlClient.options)
            }
            let limits = answer.limits
            show("storage", answer.storedBytes, limits.storageBytes == 0 ? nil : limits.storageBytes, Format.bytes)
            show("free-space", answer.freeBytes, limits.freeSpaceFloor, Format.bytes, word: "free, at least")
            show("peers", UInt64(answer.connectedPeers), UInt64(limits.peers), { "\($0)" })
            show("seeds", UInt64(answer.seeds), UInt64(limits.seeds), { "\($0)" })
        }

        private func show(
            _ name: String, _ used: UInt64, _ allowed: UInt64?, _ text: (UInt64) -> String, word: String = "of"
        ) {
            let padding = String(repeating: " ", count: 12 - name.count)
            output.console.emit(
                Line(limit: name, used: used, allowed: allowed),
                text: "\(name)\(padding)\(text(used)) \(allowed.map { "\(word) \(text($0))" } ?? "used, no limit")")
        }
    }

    /// Sizes as people type them.
    enum ByteSize {
        /// Reads a number with an optional unit: B, kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (of 1024).
        static func parse(_ text: String) throws -> UInt64 {
            let digits = text.prefix { $0.isNumber || $0 == "." }
            let unit = text.dropFirst(digits.count).trimmingCharacters(in: .whitespaces).lowercased()
            let factors: [String: Double] = [
                "": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12,
                "kib": 1_024, "mib": 1_048_576, "gib": 1_073_741_824, "tib": 1_099_511_627_776,
            ]
            guard let number = Double(digits), let factor = factors[unit], number * factor < 9e15 else {
                throw ValidationError("'\(text)' is no size. Write for example 500MB or 2TiB.")
            }
            return UInt64(number * factor)
        }
    }
#endif
