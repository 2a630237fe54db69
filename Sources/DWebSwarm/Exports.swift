// Topics, roles, peer states and connection errors are defined beside the machines that decide about them, but belong to
// this module's interface.
@_exported public import DWebDHTCore
