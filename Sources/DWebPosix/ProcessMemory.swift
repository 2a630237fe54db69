import CDatagram

/// How this process uses memory.
public enum ProcessMemory {
    /// Lets all threads share `count` memory arenas, where the C library keeps several per core and each holds on to
    /// what it once used. Call it first thing in a program; it does nothing on systems without arenas.
    public static func limitArenas(to count: Int) { dweb_limit_memory_arenas(Int32(clamping: count)) }

    /// Gives back what only an earlier phase needed: pages of program code, which are a third of the resident memory of
    /// a program that runs for long, and heap that is free. What is still used is mapped again from the system's file
    /// cache: some hundred page faults, about a millisecond. Call it when starting is over, or a large job is done.
    /// It does nothing on systems other than Linux.
    public static func giveBackUnused() { dweb_give_back_memory() }
}
