/// Running totals of a node.
package struct RPCStatistics: Equatable, Sendable {
    /// Requests begun.
    package var requestCount = 0
    /// Datagrams with own requests, repetitions included.
    package var sentRequestCount = 0
    /// Requests answered.
    package var responseCount = 0
    /// Requests given up after their last repetition.
    package var timeoutCount = 0
    /// Repetitions.
    package var retryCount = 0
    /// Requests of peers that were well formed and had no bad token.
    package var incomingRequestCount = 0
    /// Requests that were not read, or not answered, because their host had asked for too much.
    package var refusedRequestCount = 0
    /// Requests of peers whose token was refused.
    package var refusedTokenCount = 0
    /// Responses that belonged to no request, or came from elsewhere than it went.
    package var unexpectedResponseCount = 0
    /// DOWN_HINT messages sent.
    package var downHintCount = 0
    /// Queries begun, the node's own included.
    package var queryCount = 0
}
