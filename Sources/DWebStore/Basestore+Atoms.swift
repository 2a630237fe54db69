public import DWebDatabase

extension Basestore {
    /// Makes the changes of an atom, to any logs of this store, together: after a crash all of them are there or none.
    ///
    /// - Returns: The indices of the appended blocks, for each append of the atom in order.
    /// - Throws: ``DDatabaseError`` with code `notWritable`, `blockTooLarge`, `outOfBounds`, `conflict` (a log of
    ///   another store), `signer`, `storage` or `closed`. Nothing has changed then.
    @discardableResult
    public func commit(_ atom: Atom) async throws(DDatabaseError) -> [Range<UInt64>] {
        try await atom.commit(storage: engine.storage, durability: engine.options.durability)
    }
}
