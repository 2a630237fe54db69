// System calls by names that no method here has.
#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

func openFile(_ path: String, _ flags: Int32) -> Int32 { open(path, flags | O_CLOEXEC, 0o644) }

func closeFile(_ descriptor: Int32) { close(descriptor) }

func readFile(_ descriptor: Int32, into bytes: inout [UInt8]) -> Int { read(descriptor, &bytes, bytes.count) }

func writeFile(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Int {
    bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
}

func fileExists(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// Makes a directory and those above it; one that is there already is as good.
func makeDirectories(_ path: String) -> Bool {
    if mkdir(path, 0o777) == 0 || errno == EEXIST { return true }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex,
        makeDirectories(String(path[..<slash]))
    else { return false }
    return mkdir(path, 0o777) == 0 || errno == EEXIST
}

func removeFile(_ path: String) { unlink(path) }

/// What the last call ran into, in the system's words.
var systemReason: String { String(cString: strerror(errno)) }
