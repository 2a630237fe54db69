import Synchronization

/// A value that one task waits for and that is given once; whoever gives it first decides.
final class Promise<Value: Sendable>: Sendable {
    private enum State: Sendable {
        case empty
        case waiting(CheckedContinuation<Value, Never>)
        case resolved(Value)
        case taken
    }

    private let state = Mutex(State.empty)

    /// Gives the value; false if one was given before. Callable from anywhere.
    @discardableResult
    func resolve(_ value: Value) -> Bool {
        let (continuation, isFirst): (CheckedContinuation<Value, Never>?, Bool) = state.withLock { state in
            switch state {
            case .empty:
                state = .resolved(value)
                return (nil, true)
            case .waiting(let continuation):
                state = .taken
                return (continuation, true)
            case .resolved, .taken:
                return (nil, false)
            }
        }
        continuation?.resume(returning: value)
        return isFirst
    }

    /// Waits for the value. To be called once.
    func value() async -> Value {
        await withCheckedContinuation { continuation in
            let resolved: Value? = state.withLock { state in
                switch state {
                case .empty:
                    state = .waiting(continuation)
                    return nil
                case .resolved(let value):
                    state = .taken
                    return value
                case .waiting, .taken:
                    preconditionFailure("a promise is waited for once")
                }
            }
            if let resolved { continuation.resume(returning: resolved) }
        }
    }

    /// Waits for the value, and gives `fallback` itself when the calling task is cancelled.
    func value(onCancel fallback: Value) async -> Value {
        await withTaskCancellationHandler {
            await value()
        } onCancel: {
            resolve(fallback)
        }
    }
}
