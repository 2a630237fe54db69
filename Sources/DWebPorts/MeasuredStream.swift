/// A byte stream that measures how far away its other end is.
public protocol MeasuredStream: DuplexStream {
    /// The time to the other end and back, smoothed; nil before it was measured.
    var roundTripTime: Duration? { get async }
}
