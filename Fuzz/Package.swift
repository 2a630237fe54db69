// swift-tools-version: 6.2
import PackageDescription

// Feeds the targets of `Tests/DWebFuzzTargets` to libFuzzer; `Fuzz/run` builds and starts it.
let package = Package(
    name: "Fuzz",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "basestore-swarm-networking", path: "..")],
    targets: [
        .executableTarget(
            name: "Fuzz",
            dependencies: [.product(name: "DWebFuzzTargets", package: "basestore-swarm-networking")],
            swiftSettings: [.unsafeFlags(["-parse-as-library"])])
    ],
    swiftLanguageModes: [.v6]
)
