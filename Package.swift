// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let collections: Target.Dependency = .product(name: "Collections", package: "swift-collections")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")

/// What only the daemon needs: without the trait nothing of it is fetched or built.
func daemonOnly(_ name: String, _ package: String) -> Target.Dependency {
    .product(name: name, package: package, condition: .when(traits: ["Daemon"]))
}

/// What the module DWeb passes on. Whoever imports DWeb names these too: the package manager compiles a module anew when
/// one that it names has changed, not when one behind that has.
let parts: [Target.Dependency] = [
    "DWebBase", "DWebCrypto", "DWebPorts", "DWebPosix", "DWebRocks", "DWebDatabase", "DWebStore", "DWebSwarm",
    "DWebNetworker", "DWebTree", "DWebDrive",
]

let package = Package(
    name: "basestore-swarm-networking",
    platforms: [.macOS(.v15), .iOS(.v18)],
    products: [
        .library(name: "DWeb", targets: ["DWeb"]),
        .library(name: "DWebSimulation", targets: ["DWebSimulation"]),
        // For the package in Fuzz/ only.
        .library(name: "DWebFuzzTargets", targets: ["DWebFuzzTargets"]),
        .executable(name: "dweb", targets: ["DWebCLI"]),
    ],
    traits: [
        .trait(name: "Daemon", description: "The daemon in the program dweb, with its gRPC and HTTP servers.")
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    ],
    targets: [
        // Ring 0: values and primitives.
        .systemLibrary(
            name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"]), .brew(["libsodium"])]),
        .systemLibrary(
            name: "CRocksDB", pkgConfig: "rocksdb", providers: [.apt(["librocksdb-dev"]), .brew(["rocksdb"])]),
        library("DWebBase", []),
        library("DWebCrypto", ["DWebBase", "CBlake2b", "CSodium"]),
        .target(name: "CBlake2b"),
        // Ring 1: pure cores.
        library("DWebLogCore", ["DWebBase", "DWebCrypto", collections]),
        library("DWebWireCore", ["DWebBase", "DWebCrypto", collections]),
        library("DWebDHTCore", ["DWebBase", "DWebCrypto", collections]),
        library("DWebStreamCore", ["DWebBase", collections]),
        // Ring 2: ports and what implements them.
        library("DWebPorts", ["DWebBase"]),
        library("DWebPosix", ["DWebBase", "DWebPorts", "CDatagram", nioCore, nioPosix]),
        .target(name: "CDatagram"),
        .target(name: "CChecksum"),
        // For programs only: it replaces operators.
        .target(name: "CPieces"),
        library("DWebRocks", ["DWebPorts", "CRocksDB", "CChecksum", "CDatagram"]),
        library("DWebSimulation", ["DWebBase", "DWebPorts", collections]),
        // Ring 3: actors.
        library("DWebDatabase", ["DWebBase", "DWebCrypto", "DWebPorts", "DWebLogCore", "DWebWireCore", collections]),
        library("DWebStore", ["DWebBase", "DWebCrypto", "DWebPorts", "DWebLogCore", "DWebWireCore", "DWebDatabase"]),
        library(
            "DWebSwarm",
            ["DWebBase", "DWebCrypto", "DWebPorts", "DWebDHTCore", "DWebStreamCore", "DWebWireCore", collections]),
        library(
            "DWebNetworker",
            [
                "DWebBase", "DWebCrypto", "DWebPorts", "DWebWireCore", "DWebDatabase", "DWebStore", "DWebSwarm",
                collections,
            ]),
        library("DWebTree", ["DWebBase", "DWebPorts", "DWebDatabase", collections]),
        library(
            "DWebDrive",
            [
                "DWebBase", "DWebCrypto", "DWebPorts", "DWebLogCore", "DWebDatabase", "DWebStore", "DWebTree",
                collections,
            ]),
        // Laboratories: simulated internets that tests and measuring commands share; no library product has them.
        library(
            "DWebLab",
            ["DWebBase", "DWebCrypto", "DWebPorts", "DWebDHTCore", "DWebSwarm", "DWebSimulation", collections]),
        library(
            "DWebDaemonKit",
            [
                "DWebBase", "DWebCrypto", "DWebPorts", "DWebDatabase", "DWebStore", "DWebSwarm", "DWebNetworker",
                "DWebTree", "DWebDrive", collections,
            ]),
        // Ring 4: what people use.
        library("DWeb", parts),
        library(
            "DWebDaemonProto",
            [
                daemonOnly("GRPCCore", "grpc-swift-2"), daemonOnly("GRPCProtobuf", "grpc-swift-protobuf"),
                daemonOnly("SwiftProtobuf", "swift-protobuf"),
            ]),
        library(
            "DWebDaemonServer",
            parts + [
                "DWeb", "DWebDaemonKit", "DWebDaemonProto", logging, nioCore,
                daemonOnly("GRPCCore", "grpc-swift-2"),
                daemonOnly("GRPCNIOTransportHTTP2Posix", "grpc-swift-nio-transport"),
                daemonOnly("Hummingbird", "hummingbird"), daemonOnly("HTTPTypes", "swift-http-types"),
                daemonOnly("SwiftProtobuf", "swift-protobuf"),
            ]),
        library("DWebEssentials", [.product(name: "SystemPackage", package: "swift-system")]),
        .executableTarget(
            name: "DWebCLI",
            dependencies: parts + [
                "DWeb", "DWebLab", "DWebEssentials", "CPieces", argumentParser, logging, unixSignals,
                .target(name: "DWebDaemonKit", condition: .when(traits: ["Daemon"])),
                .target(name: "DWebDaemonProto", condition: .when(traits: ["Daemon"])),
                .target(name: "DWebDaemonServer", condition: .when(traits: ["Daemon"])),
                daemonOnly("GRPCCore", "grpc-swift-2"), daemonOnly("SwiftProtobuf", "swift-protobuf"),
            ], swiftSettings: settings),
        // Tests.
        tests("DWebBaseTests", ["DWebBase", "DWebTestSupport"]),
        tests("DWebCryptoTests", ["CBlake2b", "DWebBase", "DWebCrypto", "DWebTestSupport"]),
        tests("DWebLogCoreTests", ["DWebBase", "DWebCrypto", "DWebLogCore", "DWebTestSupport"]),
        tests("DWebWireCoreTests", ["DWebBase", "DWebCrypto", "DWebWireCore", "DWebTestSupport"]),
        tests("DWebDHTCoreTests", ["DWebBase", "DWebCrypto", "DWebDHTCore", "DWebTestSupport"]),
        tests("DWebStreamCoreTests", ["DWebBase", "DWebStreamCore", "DWebStreamFuzz", "DWebTestSupport"]),
        tests(
            "DWebPortsTests",
            ["CChecksum", "DWebBase", "DWebPorts", "DWebPosix", "DWebRocks", "DWebSimulation", "DWebTestSupport"]),
        tests(
            "DWebStoreTests",
            [
                "DWebBase", "DWebCrypto", "DWebPorts", "DWebLogCore", "DWebWireCore", "DWebDatabase", "DWebStore",
                "DWebSimulation", "DWebRocks", "DWebPosix", "DWebTestSupport",
            ]),
        tests(
            "DWebSwarmTests",
            [
                "DWebBase", "DWebCrypto", "DWebPorts", "DWebDHTCore", "DWebStreamCore", "DWebWireCore", "DWebSwarm",
                "DWebSimulation", "DWebPosix", "DWebLab", "DWebTestSupport",
            ]),
        tests(
            "DWebTreeTests",
            [
                "DWebBase", "DWebCrypto", "DWebPorts", "DWebLogCore", "DWebDatabase", "DWebStore", "DWebTree",
                "DWebSimulation", "DWebPosix", "DWebTestSupport",
            ]),
        tests(
            "DWebDriveTests",
            [
                "DWebBase", "DWebCrypto", "DWebPorts", "DWebLogCore", "DWebDatabase", "DWebStore", "DWebTree",
                "DWebDrive",
                "DWebSimulation", "DWebPosix", "DWebRocks", "DWebTestSupport",
            ]),
        tests(
            "DWebDaemonTests",
            parts + [
                "DWeb", "DWebDaemonKit", "DWebDaemonServer", "DWebDaemonProto", "DWebSimulation", "DWebTestSupport",
                nioCore, logging,
                daemonOnly("GRPCCore", "grpc-swift-2"), daemonOnly("Hummingbird", "hummingbird"),
                daemonOnly("HTTPTypes", "swift-http-types"), daemonOnly("SwiftProtobuf", "swift-protobuf"),
            ]),
        tests(
            "DWebCLITests", parts + ["CPieces", "DWeb", "DWebCLI", "DWebEssentials", "DWebSimulation", argumentParser]),
        tests("ScenarioTests", parts + ["DWeb", "DWebLogCore", "DWebWireCore", "DWebSimulation", "DWebTestSupport"]),
        tests("ArchitectureTests", []),
        tests("FuzzTests", ["DWebBase", "DWebFuzzTargets"]),
        .target(
            name: "DWebFuzzTargets",
            dependencies: [
                "DWebBase", "DWebCrypto", "DWebLogCore", "DWebWireCore", "DWebDHTCore", "DWebStreamCore",
                "DWebDatabase",
                "DWebTree", "DWebDrive",
            ], path: "Tests/DWebFuzzTargets", swiftSettings: settings),
        .target(
            name: "DWebStreamFuzz", dependencies: ["DWebBase", "DWebStreamCore"], path: "Tests/DWebStreamFuzz",
            swiftSettings: settings),
        .target(
            name: "DWebTestSupport", dependencies: ["DWebBase", "DWebPorts"], path: "Tests/DWebTestSupport",
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
