#if Daemon
    package import DWeb
    import DWebDaemonKit
    import DWebDaemonProto
    import Foundation
    import GRPCCore
    import SwiftProtobuf

    /// Giving what this process shares to the daemon, which keeps it available when the process is gone.
    package enum DaemonHandover {
        /// How it ended.
        package enum Outcome: Sendable, Equatable {
            /// The daemon stores all of it, and goes on with it.
            case kept
            /// The daemon does not take it, for this reason: a clause for people.
            case refused(String)
        }

        // What this process asks of itself, and what it asks of the daemon.
        private static let lookInterval = Duration.milliseconds(100)
        private static let askInterval = Duration.seconds(1)
        // A daemon fetches first and finds at its next look at the limits that there is no room.
        private static let settleTime = DaemonConstants.tickInterval + .seconds(1)

        /// Tells a daemon to seed a drive, and waits until it has all that the drive has now.
        ///
        /// Takes as long as copying takes; a task that is cancelled ends it, and leaves the drive to the daemon all the
        /// same.
        ///
        /// - Parameters:
        ///   - drive: A drive that `networker` replicates.
        ///   - note: What the daemon's lists say of it.
        ///   - daemon: What is known of the daemon.
        /// - Throws: `CancellationError`, and what reading the drive throws.
        package static func give(
            _ drive: DDrive, note: String, over networker: SwarmNetworker, to daemon: DaemonNote
        ) async throws -> Outcome {
            do {
                return try await ControlClient.with(socket: daemon.socket) { calls in
                    let target = Dweb_V1_SeedTarget.with {
                        $0.key = Data(drive.key.bytes)
                        $0.kind = .drive
                        $0.note = note
                    }
                    _ = try await calls.seed(.with { $0.targets = [target] }, options: ControlClient.promptOptions)
                    return try await wait(for: drive, networker, daemon, calls)
                }
            } catch let error as RPCError {
                try Task.checkCancellation()
                return .refused(error.code == .failedPrecondition ? error.message : "it does not answer")
            }
        }

        private static func wait(
            for drive: DDrive, _ networker: SwarmNetworker, _ daemon: DaemonNote, _ calls: ControlClient.Calls
        ) async throws -> Outcome {
            let logs = [drive.tree.database, try await drive.contentDatabase()]
            let identity = try await calls.getStatus(
                Dweb_V1_GetStatusRequest(), options: ControlClient.promptOptions
            ).network.publicKey
            let key = PublicKey(identity)
            var next = ContinuousClock.now
            var heldSince: ContinuousClock.Instant?
            while true {
                let isHeld = if let key { try await isHeld(logs, by: key) } else { false }
                heldSince = isHeld ? heldSince ?? .now : nil
                if ContinuousClock.now >= next {
                    next = .now + askInterval
                    let request = Dweb_V1_ListSeedsRequest.with { $0.keys = [Data(drive.key.bytes)] }
                    let seed = try await calls.listSeeds(request, options: ControlClient.promptOptions).seeds.first
                    if let reason = refusal(seed) { return .refused(reason) }
                    if let heldSince, ContinuousClock.now - heldSince >= settleTime, seed?.state == .complete {
                        return .kept
                    }
                    // It may have had no socket yet, or have been busy.
                    if try await logs[0].peers().allSatisfy({ $0.publicKey != key }) {
                        await DaemonNeighbor.join(networker, daemon)
                    }
                }
                try await Task.sleep(for: lookInterval)
            }
        }

        /// Whether a peer says that it stores every block.
        private static func isHeld(_ logs: [DDatabase], by peer: PublicKey) async throws -> Bool {
            for log in logs where log.length > 0 {
                let isWhole = try await log.peers().contains {
                    $0.publicKey == peer && $0.isKnown && $0.fork == log.fork && $0.contiguousLength >= log.length
                }
                guard isWhole else { return false }
            }
            return true
        }

        private static func refusal(_ seed: Dweb_V1_Seed?) -> String? {
            guard let seed else { return "it was told to let go of it" }
            return switch seed.state {
            case .evicted: "it has no room for it"
            case .paused: "its disk is nearly full"
            case .failed: seed.problem.isEmpty ? "it cannot seed it" : seed.problem
            case .searching, .downloading, .complete, .unspecified, .UNRECOGNIZED: nil
            }
        }
    }
#endif
