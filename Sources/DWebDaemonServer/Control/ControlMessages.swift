#if Daemon
    import DWeb
    package import DWebDaemonKit
    package import DWebDaemonProto
    import Foundation
    import SwiftProtobuf

    // The daemon's reports in the form of the control interface.

    extension SeedKind {
        init(_ kind: Dweb_V1_SeedKind) {
            switch kind {
            case .unspecified, .UNRECOGNIZED: self = .automatic
            case .log: self = .log
            case .tree: self = .tree
            case .drive: self = .drive
            }
        }
    }

    extension Dweb_V1_SeedKind {
        package init(_ kind: SeedKind) {
            switch kind {
            case .automatic: self = .unspecified
            case .log: self = .log
            case .tree: self = .tree
            case .drive: self = .drive
            }
        }
    }

    extension Dweb_V1_Health {
        init(_ status: DaemonStatus) {
            self.init()
            switch status.health {
            case .healthy: state = .healthy
            case .degraded: state = .degraded
            case .readOnly: state = .readOnly
            }
            problems = status.problems
        }
    }

    extension Dweb_V1_Network {
        init(_ status: DaemonStatus) {
            self.init()
            publicKey = Data(status.publicKey.bytes)
            localAddress = status.localAddress?.description ?? ""
            publicAddress = status.publicAddress?.description ?? ""
            isOnline = status.isOnline
            isBootstrapped = status.isBootstrapped
            isFirewalled = status.isFirewalled
            routingTableSize = UInt32(status.routingTableCount)
            connectedPeers = UInt32(status.connectedPeerCount)
            connectingPeers = UInt32(status.connectingPeerCount)
        }
    }

    extension Dweb_V1_Totals {
        init(_ status: DaemonStatus) {
            self.init()
            seeds = UInt32(status.seedCount)
            completeSeeds = UInt32(status.completeSeedCount)
            topics = UInt32(status.topicCount)
            storedBytes = status.storedByteCount
            downloadedBytes = status.downloadedByteCount
            uploadedBytes = status.uploadedByteCount
            downloadRate = status.downloadRate
            uploadRate = status.uploadRate
            openLogs = UInt32(status.openLogCount)
        }
    }

    extension Dweb_V1_Topic {
        init(_ topic: TopicStatus) {
            self.init()
            discoveryKey = Data(topic.discoveryKey.bytes)
            announce = topic.setting.announce
            lookup = topic.setting.lookup
            remember = topic.setting.remember
            isJoined = topic.isJoined
            isFlushed = topic.isFlushed
            seedKey = topic.seed.map { Data($0.bytes) } ?? Data()
        }
    }

    extension Dweb_V1_Seed.State {
        init(_ state: SeedState) {
            switch state {
            case .searching: self = .searching
            case .downloading: self = .downloading
            case .complete: self = .complete
            case .evicted: self = .evicted
            case .paused: self = .paused
            case .failed: self = .failed
            }
        }
    }

    extension Dweb_V1_Seed {
        init(_ seed: SeedStatus) {
            self.init()
            key = Data(seed.key.bytes)
            discoveryKey = Data(seed.discoveryKey.bytes)
            kind = Dweb_V1_SeedKind(seed.kind)
            priority = UInt32(seed.priority)
            note = seed.note
            state = State(seed.state)
            problem = seed.problem ?? ""
            added = seed.addedMilliseconds
            lastActive = seed.lastActiveMilliseconds
            lists = seed.lists.map { Data($0.bytes) }
            isDirect = seed.isDirect
            blocks = seed.blockCount
            storedBlocks = seed.storedBlockCount
            bytes = seed.byteCount
            storedBytes = seed.storedByteCount
            downloadedBytes = seed.downloadedByteCount
            uploadedBytes = seed.uploadedByteCount
            holders = seed.holders.map { holder in
                .with {
                    $0.publicKey = Data(holder.publicKey.bytes)
                    $0.storedBlocks = holder.storedBlockCount
                    $0.isComplete = holder.isComplete
                }
            }
        }
    }

    extension Dweb_V1_Peer {
        init(_ peer: DaemonPeer) {
            self.init()
            publicKey = Data(peer.publicKey.bytes)
            address = peer.address?.description ?? ""
            isConnected = peer.isConnected
            isInitiator = peer.isInitiator
            state = peer.state
            lastFailure = peer.lastFailure ?? ""
            topics = peer.topics.map { Data($0.bytes) }
            roundTripMicroseconds = peer.roundTripTime.map { UInt64(clamping: $0.wholeNanoseconds / 1_000) } ?? 0
            downloadedBytes = peer.downloadedByteCount
            uploadedBytes = peer.uploadedByteCount
            path = peer.path
        }
    }

    extension Dweb_V1_Limits {
        init(_ limits: SeedLimits) {
            self.init()
            storageBytes = limits.storageByteCount
            freeSpaceFloor = limits.freeSpaceFloor
            peers = UInt32(limits.peerCount)
            seeds = UInt32(limits.seedCount)
        }
    }

    extension Dweb_V1_WatchResponse {
        init(_ event: DaemonEvent) {
            self.init()
            switch event {
            case .peerAdded(let key): peerAdded = Data(key.bytes)
            case .peerRemoved(let key): peerRemoved = Data(key.bytes)
            case .topicJoined(let key): topicJoined = Data(key.bytes)
            case .seedChanged(let key): seedChanged = Data(key.bytes)
            case .problem(let text): problem = text
            }
        }
    }
#endif
