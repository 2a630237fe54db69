// Topics, roles, peer states, connection errors and stream statistics are defined beside the machines that decide about
// them, but belong to this module's interface.
@_exported public import DWebDHTCore
@_exported public import DWebStreamCore
