import ArgumentParser
import DWeb

/// What peers meet under, as people name it.
struct TopicOptions: ParsableArguments {
    @Argument(help: "A log's key; with --topic the topic itself, with --word any word.")
    var text: String

    @Flag(help: "Take the text as the topic: 52 characters in z-base-32 or 64 in hexadecimal.")
    var topic = false

    @Flag(help: "Take the text as a word that peers meet under; the topic is its hash.")
    var word = false

    func validate() throws {
        guard !(topic && word) else { throw ValidationError("--topic and --word exclude each other.") }
    }

    /// The topic that is meant.
    func value() throws -> Topic {
        if word { return Topic(hashing: text) }
        if topic { return try Topic(text: text) }
        return Topic(try PublicKey(text: text).discoveryKey)
    }
}
