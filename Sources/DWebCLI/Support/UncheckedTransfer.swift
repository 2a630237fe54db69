/// Carries a value into the closure that a node runs, which alone uses it from then on.
///
/// Unchecked because the compiler cannot see that the sender forgets it: the files that go this way are opened before the
/// node, so that a mistyped name costs nothing, and are read or written by its closure only.
struct UncheckedTransfer<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
