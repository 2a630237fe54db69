import DWeb

extension CommandFailure {
    /// Puts an error of the library into a sentence and an exit code; nil for errors of other origin.
    init?(describing error: any Error) {
        switch error {
        case let failure as CommandFailure:
            self = failure
        case let error as BasestoreError:
            switch error.code {
            case .locked: self.init(.locked, error.detail)
            case .cancelled: self.init(.interrupted, "Interrupted.")
            case .invalidProof, .protocolViolation: self.init(.invalidData, error.detail)
            default: self.init(.storage, error.detail)
            }
        case let error as DDatabaseError:
            switch error.code {
            case .noPeers, .blockNotAvailable, .deadlineExceeded: self.init(.unavailable, error.detail)
            case .cancelled: self.init(.interrupted, "Interrupted.")
            case .invalidProof, .conflict: self.init(.invalidData, error.detail)
            case .storage, .notWritable: self.init(.storage, error.detail)
            default: self.init(.failure, error.detail)
            }
        case let error as DTreeError:
            self.init(treeCode: error.code, error.detail)
        case let error as DDriveError:
            self.init(driveCode: error.code, error.detail)
        case let error as PortError:
            switch error.code {
            case .addressInUse, .permissionDenied, .connectionReset, .timedOut: self.init(.network, error.detail)
            case .locked: self.init(.locked, error.detail)
            case .cancelled: self.init(.interrupted, "Interrupted.")
            default: self.init(.failure, error.detail)
            }
        case let error as SwarmNetworkerError:
            self.init(error.code == .cancelled ? .interrupted : .network, error.description)
        case let error as DSwarmError:
            self.init(error.code == .cancelled ? .interrupted : .network, error.detail)
        case let error as KeyTextError:
            self.init(.usage, error.description)
        case is CancellationError:
            self.init(.interrupted, "Interrupted.")
        default:
            return nil
        }
    }

    private init(treeCode code: DTreeError.Code, _ detail: String) {
        switch code {
        case .noPeers, .notAvailable, .deadlineExceeded: self.init(.unavailable, detail)
        case .cancelled: self.init(.interrupted, "Interrupted.")
        case .notATree, .unsupportedFormat, .damaged: self.init(.invalidData, detail)
        case .storage, .notWritable, .closed: self.init(.storage, detail)
        case .invalidArgument, .keyTooLarge, .valueTooLarge: self.init(.usage, detail)
        default: self.init(.failure, detail)
        }
    }

    private init(driveCode code: DDriveError.Code, _ detail: String) {
        switch code {
        case .noPeers, .notAvailable, .deadlineExceeded: self.init(.unavailable, detail)
        case .cancelled: self.init(.interrupted, "Interrupted.")
        case .notADrive, .unsupportedFormat, .damaged: self.init(.invalidData, detail)
        case .storage, .notWritable, .closed, .localFile: self.init(.storage, detail)
        case .invalidArgument, .invalidPath: self.init(.usage, detail)
        default: self.init(.failure, detail)
        }
    }
}
