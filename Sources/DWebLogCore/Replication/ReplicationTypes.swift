/// A peer of one log, by a number that the owner of the machine chooses and never reuses.
package struct ReplicationPeerID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number.
    package let number: UInt64

    /// Names the peer with this number.
    package init(_ number: UInt64) { self.number = number }

    package static func < (left: ReplicationPeerID, right: ReplicationPeerID) -> Bool { left.number < right.number }

    package var description: String { "peer \(number)" }
}

/// What a caller is waiting for, by a number that the owner of the machine chooses and never reuses.
package struct ReplicationTicket: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number.
    package let number: UInt64

    /// Names the interest with this number.
    package init(_ number: UInt64) { self.number = number }

    package static func < (left: ReplicationTicket, right: ReplicationTicket) -> Bool { left.number < right.number }

    package var description: String { "ticket \(number)" }
}

/// A data message that is being verified, and whose outcome the machine awaits.
package struct VerificationToken: Hashable, Sendable {
    /// Counts up from zero in the order of the outputs.
    package let number: UInt64

    init(_ number: UInt64) { self.number = number }
}

/// A request whose answer is being produced.
package struct ServingToken: Hashable, Sendable {
    /// Counts up from zero in the order of the outputs.
    package let number: UInt64

    init(_ number: UInt64) { self.number = number }
}

/// Which state of a log is meant: how often it was truncated, and how many blocks it has.
package struct LogHead: Hashable, Sendable {
    /// How often the log was truncated.
    package var fork: UInt64
    /// The number of blocks.
    package var length: UInt64

    /// The head with this fork and length.
    package init(fork: UInt64, length: UInt64) {
        self.fork = fork
        self.length = length
    }
}

/// What the owner of the machine knows of its own log.
package struct LocalLogState: Sendable {
    /// The fork and length of the signed log.
    package var head: LogHead
    /// How many blocks from the first one on are stored without a gap.
    package var contiguousLength: UInt64
    /// Whether the manifest is stored, so that it need not be asked for.
    package var knowsManifest: Bool
    /// Whether the manifest may be given to peers: it is stored and the log is not one whose key is a signer's.
    package var offersManifest: Bool
    /// Whether the log's key has signed two histories, so that nothing is exchanged.
    package var isFrozen = false
    /// Whether the roots of the tree are lost: peers are asked for them, and nothing else is exchanged before.
    package var isDamaged = false

    /// The state of a log that stores its first `contiguousLength` blocks.
    package init(head: LogHead, contiguousLength: UInt64, knowsManifest: Bool, offersManifest: Bool) {
        self.head = head
        self.contiguousLength = contiguousLength
        self.knowsManifest = knowsManifest
        self.offersManifest = offersManifest
    }
}

/// What is known of a peer at one moment.
package struct PeerState: Sendable {
    /// Whether the peer told its state.
    package let isSynced: Bool
    /// The fork and length that the peer told.
    package let head: LogHead
    /// How many blocks the peer has from the first one on.
    package let contiguousLength: UInt64
    /// Whether the peer gives blocks.
    package let isUploading: Bool
    /// Whether the peer wants blocks.
    package let isDownloading: Bool
    /// Whether the peer gets and gives nothing until it proves its history.
    package let isPaused: Bool
    /// The requests that the peer has not answered.
    package let unansweredRequestCount: Int
    /// The time to the peer and back: as the stream measured it, else that of answers.
    package let roundTripTime: Duration?
}

/// How a peer is reached, as far as it decides how many requests are sent ahead; spec 30 E.5.
package struct PeerTransport: Sendable {
    /// Whether the stream below is UDX.
    package var isUDX: Bool
    /// The round-trip time that the stream measured, if it did.
    package var roundTripTime: Duration?

    /// A transport of this kind.
    package init(isUDX: Bool, roundTripTime: Duration? = nil) {
        self.isUDX = isUDX
        self.roundTripTime = roundTripTime
    }
}

/// How many requests may be unanswered per peer.
package enum InFlightPolicy: Sendable, Equatable {
    /// What the reference does: 16 to 512 by transport and round-trip time; spec 30 E.5.
    case reference
    /// Starts at `start`, grows while answers come quickly and shrinks while they queue up, between 16 and `most`
    /// requests of together about `byteCount` answered bytes.
    case adaptive(start: Int, most: Int, byteCount: Int)
}

/// What an owner may choose about a replication.
package struct ReplicationOptions: Sendable {
    /// How many requests may be unanswered per peer.
    package var inFlight: InFlightPolicy = .adaptive(start: 64, most: 512, byteCount: 2 << 20)
    /// Whether a longer state of the log is fetched as soon as a peer reports it.
    package var upgradesEagerly = true
    /// Whether signed truncations are followed.
    package var allowsForks = true
    /// Whether peers are told that they may send blocks which were not asked for.
    package var allowsPush = false
    /// Whether blocks come only by push: nothing but explicitly wanted blocks is requested.
    package var isPushOnly = false
    /// How long a log without users keeps signalling that it downloads.
    package var lingerTime: Duration = .seconds(20)

    /// The defaults.
    package init() {}
}

/// What the owner finds when it checks a data message; the answer to
/// ``ReplicationOutput/verify(_:from:data:purpose:)``.
package enum VerificationOutcome: Sendable {
    /// The proof held and everything in it is stored. The head is the log's own after that.
    case applied(LogHead, knowsManifest: Bool, offersManifest: Bool)
    /// The log changed meanwhile so that the proof no longer applies. Nothing is stored, nobody is blamed.
    case stale
    /// The proof is wrong. Nothing is stored.
    case rejected(VerificationFailure)
    /// The proof held but could not be stored.
    case storageFailed
    /// Only for ``VerificationPurpose/reorganisation``: the fork's signature holds; where it leaves our history is not
    /// known yet. A hash of a leaf of `window` with this many climbed levels would tell more.
    case searching(window: Range<UInt64>, levelCount: UInt64)
    /// Only for ``VerificationPurpose/reorganisation``: the fork can be applied.
    case reorganisationReady
    /// Only for ``VerificationPurpose/conflict``: the peer's signed history is the same as ours. For
    /// ``VerificationPurpose/repair``: the roots are stored again.
    case sameHistory
    /// Only for ``VerificationPurpose/conflict``: the same key signed two histories.
    case conflict
}

/// Why a proof was refused; the classes of spec 30 D.3.
package enum VerificationFailure: Error, Sendable, Equatable {
    /// A node that the proof relies on is not stored, or the nodes are in the wrong order.
    case invalidOperation
    /// A hash differs from the stored one.
    case invalidChecksum
    /// The manifest or the prologue forbids the proof.
    case invalidProof
    /// The signature does not hold.
    case invalidSignature
}

/// Why a data message is to be verified, and against what.
package enum VerificationPurpose: Sendable, Equatable {
    /// It answers a request of ours and extends or fills the log.
    case answer
    /// It was not asked for: a pushed block.
    case push
    /// It is part of a truncation to a higher fork, which is collected beside the log until it is applied.
    case reorganisation(fork: UInt64)
    /// It is the peer's proof of its own history, to be compared with ours.
    case conflict
    /// It is the peer's proof of its own history, which is to give back the lost roots of ours.
    case repair
}

/// What kind of answer is to be produced for a request.
package enum ServingKind: Sendable, Equatable {
    /// The proof that was asked for; the answer carries the request's id and fork.
    case proof
    /// A data message with only the manifest and our own fork: the block itself is not here.
    case manifestOnly
    /// A proof of our own history, for a peer that holds another one.
    case conflictProof
    /// A block that was not asked for: data with request 0, a manifest if the request has the bit set.
    case push
}

/// What the owner produced for a request; the answer to ``ReplicationOutput/serve(_:from:request:kind:)``.
package enum ServingOutcome: Sendable {
    /// This is the answer.
    case data(DataMessage)
    /// The blocks or nodes are not here.
    case unavailable
    /// The request asks for something that cannot exist; spec 30 H.7.
    case invalidRequest
}

/// What became of an interest.
package enum TicketOutcome: Sendable, Equatable {
    /// The block is stored.
    case blockStored(UInt64)
    /// Every block of the range is stored.
    case rangeComplete
    /// The log got longer or changed its fork (true), or no peer has anything newer (false).
    case updated(Bool)
}

/// What a peer did that ends its stream.
package enum PeerFault: Error, Sendable, Equatable {
    /// It sent 64 requests that no honest peer sends.
    case tooManyInvalidRequests
    /// It sent more unanswered requests than ``ReplicationLimits/queuedRequestsPerPeer``.
    case tooManyRequests
    /// It sent proofs that do not hold and that no other history of the log can explain.
    case invalidProof
}

/// What the owner may want to tell its users.
package enum ReplicationEvent: Sendable, Equatable {
    /// A peer has a longer state of the log than ours.
    case upgradeAvailable(ReplicationPeerID, LogHead)
    /// A data message did not verify; the peer may have been paused.
    case verificationFailed(ReplicationPeerID, VerificationFailure)
    /// A peer gets and gives nothing until it proves its history.
    case peerPaused(ReplicationPeerID)
    /// A paused peer proved its history.
    case peerResumed(ReplicationPeerID)
    /// Some peer stores this many blocks from the first one on; worth remembering.
    case remoteContiguousLength(UInt64)
    /// The log's key signed two histories. Nothing is sent or accepted any more.
    case conflict(ReplicationPeerID)
}

/// What the machine wants done, in order.
package enum ReplicationOutput: Sendable {
    /// Send a message on the peer's channel.
    case send(to: ReplicationPeerID, LogMessage)
    /// Produce the answer to a request and give it to ``LogReplicator/served(_:_:now:)``.
    case serve(ServingToken, from: ReplicationPeerID, request: RequestMessage, kind: ServingKind)
    /// The answer with this token is no longer wanted; giving it does no harm.
    case cancelServe(ServingToken)
    /// Verify and store a data message and report to ``LogReplicator/verified(_:_:now:)``. Take them in order: a proof
    /// may build on the nodes of every earlier one.
    case verify(VerificationToken, from: ReplicationPeerID, data: DataMessage, purpose: VerificationPurpose)
    /// An interest is settled; the ticket is forgotten.
    case resolve(ReplicationTicket, TicketOutcome)
    /// New nodes arrived that may settle a seek: look again, then call ``LogReplicator/narrowSeek(_:window:now:)`` or
    /// ``LogReplicator/cancel(_:now:)``.
    case seekProgress(ReplicationTicket)
    /// Apply the collected truncation to this fork and report to ``LogReplicator/reorganised(to:ancestors:now:)`` or
    /// ``LogReplicator/reorganisationFailed(fork:now:)``.
    case applyReorganisation(fork: UInt64)
    /// Forget what was collected for this fork.
    case discardReorganisation(fork: UInt64)
    /// Close the peer's channel of this log; the peer is forgotten.
    case closeChannel(ReplicationPeerID)
    /// Open a new channel to this peer, under a new number: it closed the old one too early.
    case reopenChannel(ReplicationPeerID)
    /// Destroy the whole stream of the peer; the peer is forgotten.
    case destroyStream(ReplicationPeerID, PeerFault)
    /// A peer sent an extension message.
    case extensionMessage(from: ReplicationPeerID, name: String, payload: [UInt8])
    /// Something that users may want to know.
    case event(ReplicationEvent)
}
