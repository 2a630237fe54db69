// One import for applications: the public types of the whole stack.
@_exported public import DWebBase
@_exported public import DWebCrypto
@_exported public import DWebDatabase
@_exported public import DWebDrive
@_exported public import DWebNetworker
@_exported public import DWebPorts
@_exported public import DWebPosix
@_exported public import DWebRocks
@_exported public import DWebStore
@_exported public import DWebSwarm
@_exported public import DWebTree

/// The version of this package.
public enum DWebVersion {
    /// The version as text, after semantic versioning.
    public static let text = "0.1.0"
}
