public import DWebBase
public import DWebPorts

/// How to open a ``Basestore``.
public struct BasestoreOptions: Sendable {
    /// The key from which the store derives the key pairs of its named logs.
    ///
    /// Nil takes the stored one, or generates one for a new store. Opening a store that holds another key fails.
    public var primaryKey: Bytes32?
    /// How the storage below is opened.
    public var storage = StorageOptions()
    /// How certain writes must be before they are reported done.
    public var durability: Durability = .processCrash
    /// How long a connection may be silent before a keep-alive is sent.
    public var keepAliveInterval: Duration = .seconds(5)

    /// The defaults: a stored or generated primary key.
    public init() {}
}
