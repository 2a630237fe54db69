#if Daemon
    import DWeb
    import DWebDaemonKit
    import DWebDaemonProto
    import GRPCCore
    import SwiftProtobuf

    /// The control interface of a daemon: translates calls, and decides nothing.
    struct ControlService: Dweb_V1_Daemon.SimpleServiceProtocol {
        let daemon: Daemon
        let identity: Identity
        let log: LogBuffer
        /// Asks the process to end.
        let stop: @Sendable () -> Void

        /// What the daemon does not know about its process.
        struct Identity: Sendable {
            var version: String
            var processID: UInt32
            var storePath: String
            var dashboardURL: String?
        }

        // Targets of one call.
        private static let targetLimit = 10_000

        func getStatus(
            request: Dweb_V1_GetStatusRequest, context: ServerContext
        ) async throws -> Dweb_V1_GetStatusResponse {
            let status = await daemon.status()
            return .with {
                $0.version = identity.version
                $0.interfaceVersion = UInt32(ControlInterface.version)
                $0.processID = identity.processID
                $0.started = daemon.startedMilliseconds
                $0.storePath = identity.storePath
                $0.dashboardURL = identity.dashboardURL ?? ""
                $0.health = Dweb_V1_Health(status)
                $0.network = Dweb_V1_Network(status)
                $0.totals = Dweb_V1_Totals(status)
            }
        }

        func stop(request: Dweb_V1_StopRequest, context: ServerContext) async throws -> Dweb_V1_StopResponse {
            stop()
            return Dweb_V1_StopResponse()
        }

        func configure(
            request: Dweb_V1_ConfigureRequest, context: ServerContext
        ) async throws -> Dweb_V1_ConfigureResponse {
            guard let key = DiscoveryKey(request.discoveryKey) else { throw RPCError.badKey }
            let setting = TopicSetting(
                announce: request.announce, lookup: request.lookup, remember: request.remember)
            try await translating { () throws(DaemonError) in try await daemon.configure(key, setting) }
            return Dweb_V1_ConfigureResponse()
        }

        func listTopics(
            request: Dweb_V1_ListTopicsRequest, context: ServerContext
        ) async throws -> Dweb_V1_ListTopicsResponse {
            let topics = await daemon.topics()
            return .with { $0.topics = topics.map { Dweb_V1_Topic($0) } }
        }

        func seed(request: Dweb_V1_SeedRequest, context: ServerContext) async throws -> Dweb_V1_SeedResponse {
            guard request.targets.count <= ControlService.targetLimit else {
                throw RPCError(
                    code: .invalidArgument, message: "One call takes at most \(ControlService.targetLimit) targets.")
            }
            let targets = try request.targets.map { target in
                guard let key = PublicKey(target.key) else { throw RPCError.badKey }
                return SeedTarget(
                    key: key, kind: SeedKind(target.kind),
                    priority: target.hasPriority ? UInt8(clamping: target.priority) : SeedTarget.defaultPriority,
                    note: target.note)
            }
            let added = try await translating { () throws(DaemonError) in try await daemon.seed(targets) }
            return .with { $0.added = UInt32(added) }
        }

        func unseed(request: Dweb_V1_UnseedRequest, context: ServerContext) async throws -> Dweb_V1_UnseedResponse {
            let keys = try request.keys.map { bytes in
                guard let key = PublicKey(bytes) else { throw RPCError.badKey }
                return key
            }
            let removed = try await translating { () throws(DaemonError) in
                try await daemon.unseed(keys, purge: request.purge)
            }
            return .with { $0.removed = UInt32(removed) }
        }

        func listSeeds(
            request: Dweb_V1_ListSeedsRequest, context: ServerContext
        ) async throws -> Dweb_V1_ListSeedsResponse {
            let keys = request.keys.isEmpty ? nil : Set(request.keys.compactMap { PublicKey($0) })
            let seeds = await daemon.seedStatuses(keys)
            return .with { $0.seeds = seeds.map { Dweb_V1_Seed($0) } }
        }

        func followList(
            request: Dweb_V1_FollowListRequest, context: ServerContext
        ) async throws -> Dweb_V1_FollowListResponse {
            guard let key = PublicKey(request.key) else { throw RPCError.badKey }
            let priority = request.hasPriority ? UInt8(clamping: request.priority) : SeedTarget.defaultPriority
            try await translating { () throws(DaemonError) in try await daemon.follow(key, priority: priority) }
            return Dweb_V1_FollowListResponse()
        }

        func unfollowList(
            request: Dweb_V1_UnfollowListRequest, context: ServerContext
        ) async throws -> Dweb_V1_UnfollowListResponse {
            guard let key = PublicKey(request.key) else { throw RPCError.badKey }
            let was = try await translating { () throws(DaemonError) in try await daemon.unfollow(key) }
            return .with { $0.wasFollowed = was }
        }

        func listPeers(
            request: Dweb_V1_ListPeersRequest, context: ServerContext
        ) async throws -> Dweb_V1_ListPeersResponse {
            let peers = await daemon.peers().filter { $0.isConnected || !request.connectedOnly }
            return .with { $0.peers = peers.map { Dweb_V1_Peer($0) } }
        }

        func getLimits(
            request: Dweb_V1_GetLimitsRequest, context: ServerContext
        ) async throws -> Dweb_V1_GetLimitsResponse {
            let status = await daemon.status()
            return .with {
                $0.limits = Dweb_V1_Limits(status.limits)
                $0.storedBytes = status.storedByteCount
                $0.freeBytes = status.freeByteCount ?? 0
                $0.seeds = UInt32(status.seedCount)
                $0.connectedPeers = UInt32(status.connectedPeerCount)
            }
        }

        func setLimits(
            request: Dweb_V1_SetLimitsRequest, context: ServerContext
        ) async throws -> Dweb_V1_SetLimitsResponse {
            var limits = await daemon.limits
            if request.hasStorageBytes { limits.storageByteCount = request.storageBytes }
            if request.hasFreeSpaceFloor { limits.freeSpaceFloor = request.freeSpaceFloor }
            if request.hasPeers { limits.peerCount = Int(request.peers) }
            if request.hasSeeds { limits.seedCount = Int(request.seeds) }
            let wanted = limits
            try await translating { () throws(DaemonError) in try await daemon.setLimits(wanted) }
            return .with { $0.limits = Dweb_V1_Limits(wanted) }
        }

        func watch(
            request: Dweb_V1_WatchRequest, response: RPCWriter<Dweb_V1_WatchResponse>, context: ServerContext
        ) async throws {
            for await event in daemon.events() { try await response.write(Dweb_V1_WatchResponse(event)) }
        }

        func readLog(
            request: Dweb_V1_ReadLogRequest, response: RPCWriter<Dweb_V1_ReadLogResponse>, context: ServerContext
        ) async throws {
            // Listening before reading: a line may come twice then, but none is missed.
            let further = request.follow ? log.follow() : nil
            let lines = log.newest(Int(clamping: request.lines))
            if !lines.isEmpty { try await response.write(.with { $0.lines = lines }) }
            guard let further else { return }
            for await line in further { try await response.write(.with { $0.lines = [line] }) }
        }

        /// Runs a call of the daemon, with its errors in the form of gRPC.
        private func translating<Result: Sendable>(
            _ body: () async throws(DaemonError) -> Result
        ) async throws -> Result {
            do throws(DaemonError) { return try await body() } catch { throw RPCError(error) }
        }
    }

    extension RPCError {
        static let badKey = RPCError(code: .invalidArgument, message: "A key has 32 bytes.")

        init(_ error: DaemonError) {
            let code: Code =
                switch error.code {
                case .invalidArgument: .invalidArgument
                case .notFound: .notFound
                case .limitReached: .resourceExhausted
                case .readOnly: .failedPrecondition
                case .closed: .unavailable
                default: .internalError
                }
            self.init(code: code, message: error.detail + ".")
        }
    }
#endif
