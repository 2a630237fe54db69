#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// What the file system tells about a file without reading it: if none of it changed, the content did not.
struct FileMark: Sendable, Hashable {
    let byteCount: UInt64
    /// The last change of the content, in nanoseconds since 1970. Programs can set it to anything.
    let modifiedNanoseconds: Int64
    /// The last change of content, name or mode, in nanoseconds since 1970. Only the system sets it.
    let changedNanoseconds: Int64
    /// The file's number on its disk.
    let number: UInt64

    init(_ status: stat) {
        byteCount = UInt64(max(0, status.st_size))
        number = UInt64(status.st_ino)
        #if canImport(Darwin)
            let (modified, changed) = (status.st_mtimespec, status.st_ctimespec)
        #else
            let (modified, changed) = (status.st_mtim, status.st_ctim)
        #endif
        modifiedNanoseconds = FileMark.nanoseconds(modified)
        changedNanoseconds = FileMark.nanoseconds(changed)
    }

    /// Whether the file was changed so shortly before `moment` that another change may show the same times.
    func isFresh(at moment: Int64) -> Bool {
        max(modifiedNanoseconds, changedNanoseconds) > moment - FileMark.settlingNanoseconds
    }

    /// The present moment on the clock of files.
    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return nanoseconds(time)
    }

    // File systems count in steps of up to two seconds (FAT).
    private static let settlingNanoseconds: Int64 = 2_000_000_000

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
