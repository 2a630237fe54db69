// What the program needs of the system under one name: the C library, file descriptors and paths, and the part of
// Foundation that comes without its tables for languages and calendars. Those are 30 MB of a program linked as a whole,
// and a third of the memory of one that moves data.
@_exported public import SystemPackage

#if canImport(FoundationEssentials)
    @_exported public import FoundationEssentials
#else
    @_exported public import Foundation
#endif

#if canImport(Darwin)
    @_exported public import Darwin
#elseif canImport(Musl)
    @_exported public import Musl
#else
    @_exported public import Glibc
#endif
