import CDatagram

/// How this process uses memory.
public enum ProcessMemory {
    /// Lets all threads share `count` memory arenas, where the C library keeps several per core and each holds on to
    /// what
    /// it once used. Call it first thing in a program; it does nothing on systems without arenas.
    public static func limitArenas(to count: Int) { dweb_limit_memory_arenas(Int32(clamping: count)) }
}
