extension String {
    /// The text with spaces before it, so that it has at least `count` characters.
    func leftPadded(to count: Int) -> String { String(repeating: " ", count: max(0, count - self.count)) + self }
}
