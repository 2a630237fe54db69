import DWebBase
import DWebFuzzTargets
import Foundation

/// The target that the environment names. libFuzzer owns the command line.
private let target: FuzzTarget = {
    let names = FuzzTarget.all.map(\.name).joined(separator: ", ")
    guard let name = ProcessInfo.processInfo.environment["DWEB_FUZZ_TARGET"], let target = FuzzTarget.named(name) else {
        FileHandle.standardError.write(Data("DWEB_FUZZ_TARGET must be one of: \(names)\n".utf8))
        exit(64)
    }
    return target
}()

private let environment = ProcessInfo.processInfo.environment

/// The inputs that the repository keeps for the target: one a line, in hexadecimal.
private func keptInputs() -> [[UInt8]] {
    guard let path = environment["DWEB_FUZZ_FIXTURE"], let text = try? String(contentsOfFile: path, encoding: .utf8)
    else { return [] }
    return text.split(separator: "\n").compactMap { Hex.decode($0) }
}

/// Writes the inputs that a target begins with, if the environment names a folder for them.
private func writeSeeds() {
    guard let path = environment["DWEB_FUZZ_SEEDS"] else { return }
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for (number, seed) in (target.seeds() + keptInputs()).enumerated() {
        _ = FileManager.default.createFile(atPath: "\(path)/seed-\(number)", contents: Data(seed))
    }
}

/// Adds the files of a folder to the inputs that the repository keeps, the longest of them left out.
private func keep(_ folder: String) {
    guard let path = environment["DWEB_FUZZ_FIXTURE"] else { return }
    var inputs = Set(keptInputs())
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
        guard let data = FileManager.default.contents(atPath: "\(folder)/\(name)"), data.count <= 600 else { continue }
        inputs.insert(Array(data))
    }
    let lines = inputs.map { Hex.encode($0) + "\n" }.sorted { ($0.count, $0) < ($1.count, $1) }
    _ = FileManager.default.createFile(atPath: path, contents: Data(lines.joined().utf8))
}

/// Called by libFuzzer once before the first input.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafeMutablePointer<CInt>?, _ arguments: UnsafeMutableRawPointer?) -> CInt {
    if environment["DWEB_FUZZ_LIST"] != nil {
        for target in FuzzTarget.all { print(target.name) }
        exit(0)
    }
    if let folder = environment["DWEB_FUZZ_KEEP"] {
        keep(folder)
        exit(0)
    }
    writeSeeds()
    return 0
}

/// Called by libFuzzer with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target.run(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
