extension String {
    /// The text with spaces after it, up to `width` characters, for columns that start at the left.
    public func padded(to width: Int) -> String { self + String(repeating: " ", count: Swift.max(0, width - count)) }

    /// The text with spaces before it, up to `width` characters, for columns that end at the right.
    public func aligned(to width: Int) -> String { String(repeating: " ", count: Swift.max(0, width - count)) + self }
}
