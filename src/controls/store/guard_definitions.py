"""What the newest migration leaves as guards: every trigger by name and by a fingerprint of what it does.

Guarantees: a guard that was dropped, switched off, emptied or made conditional does not match. The
fingerprints are SHA-256 over the definition with its white space folded (`fingerprint`); a migration that
changes a guard changes this list, and a test compares the list with a migrated database of each kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from controls.store.tables import LEDGER_TABLES, acts, approval_uses, duty_limits, heads

# Tables that guards stand on.
GUARDED: Final = (*LEDGER_TABLES, heads, approval_uses, acts, duty_limits)
GUARDED_NAMES: Final = tuple(table.name for table in GUARDED)


def fingerprint(definition: str) -> str:
    """SHA-256 of a definition, whatever its white space."""
    return sha256(" ".join(definition.split()).encode()).hexdigest()


# -- SQLite: name of the trigger -> fingerprint of its CREATE TRIGGER statement ---------------------------

SQLITE_TRIGGERS: Final[Mapping[str, str]] = {
    "acts_fixed": "41970332337fa9e787c10e5c9682a0bf9a8077f9198d8c079adbe25c0c20f593",
    "acts_no_delete": "a39a46e5fba8a498b607077cabd81494ff47bbe90a627928c86f63b1feb70e9d",
    "acts_own_name": "0453586e04d7b0faea40b2dba47720d3e8d6d226cb4dde483cdcb9c54d214dcd",
    "acts_within_limits": "9a92fadd7f24b9fdaf215738254696825f9a38cd2c3e4892d18295f545bcee91",
    "approval_uses_no_delete": "6fc98d5b35e017a60f0087d658eb8d124def7379d8124ba03ed56e783a6e79be",
    "approval_uses_no_replace": "80dd86ff59c518897471968be373a97624e12c499007bbdae968880c8f7835e8",
    "approval_uses_no_update": "9bcff66d65c9d7d732267af7e7163f46ce949d2750cc17e1477fe0e93138a134",
    "approval_uses_rowid": "6c3fc80bd240ef35f33e6fed86a5ab19fbf4d40bf53406450037a3d0a96fd48e",
    "duty_limits_no_delete": "8ad8de44a5568656ce2bc860f50220f4d29d8013aa15bfb3b250cb6ac995424e",
    "duty_limits_no_replace": "5fb66afbaff662df901c910bc32c5ccb98193d55440753c9dc287dfaf2613dad",
    "duty_limits_no_update": "544199b6cfe22b7b9659860572c8ff735cc97a89d67812a6260ba8b11e9319ab",
    "duty_limits_rowid": "0b1fc1b7676c2ddd7d2eb89c06adc72fae353fe65a9ddd3afbfd620278517ff2",
    "ledger_blobs_no_delete": "18d05451c36a400b83271a2678006d280635868601977215ae802426199bbda1",
    "ledger_blobs_no_replace": "56481aa53c36375283df2ddfadece4947e48357b82de45821a9ba04b8945cb44",
    "ledger_blobs_no_update": "ffc6097854e49cd2abf29f1015c92c75355c96618758a224a070aeaeac8b8993",
    "ledger_blobs_rowid": "71427e49334af9aa06fc6d4ebc7b2c253293461ea982469f22f782e38337747c",
    "ledger_checkpoints_no_delete": "2744db4482c122546756ad91de93f4392e7c08373c096fc79c95909bacf8bf7a",
    "ledger_checkpoints_no_replace": "703981efe1fed2b4291fb4ca133f62224ab4d5d0bbb8de3878f87f8b49cd8138",
    "ledger_checkpoints_no_update": "3526ca211a982daeb95ea14d7baec89e06c6131847c67b1998e61e0f1a32a5a6",
    "ledger_checkpoints_rowid": "386e0ee94ae2b7cbee309232cbe1a2f61d438c79f934d1fa9e79704423e5aac4",
    "ledger_entries_next": "1615da753b8680d446281f6f1e5927076012e610ccb40d9b780b0b85d7fa92be",
    "ledger_entries_no_delete": "8b16f97a5343f96a0a65b4b470bdebd9fa7058999feef45c8520a205e771b9ab",
    "ledger_entries_no_update": "321aa67dcb177ee000ee24e6aa0c035fd7ad5d9c002895ef0615ab55c25335f8",
    "ledger_entries_rowid": "4e949f559ad3a63cca7c02505ff8bd5193dbc4120077a98881257dd6200eba3a",
    "ledger_heads_forward": "4b13f06a796d5044cc51ef4bf68567c33c63c587c02739f27ca8e2401cd983ec",
    "ledger_heads_no_delete": "0a71be7c7d6a4473435cf158b59e7fe04f962f8a69149f3a5c39c0a0e28504c7",
    "ledger_heads_no_replace": "0a7e4efb60dcd9094fbcc8ea2e7e09a792c22894bbbae86b41f73e697a8ee78f",
    "ledger_heads_rowid": "6e860d06953340691616d189a899a11c01cbbe87900ebfdb8b19f2627a18e536",
    "ledger_tiles_no_delete": "7143246ffe48a32822c8e3693b7f32b287e4a91fbddd256d26088ae0b40b4075",
    "ledger_tiles_no_replace": "aec7d09fb50fad6f96488b616769aec060875330afed72675620fe38bc859da3",
    "ledger_tiles_no_update": "7b005126a04048fcba17546c078b810d685e4a427ab6147dce4ec12132ae02f5",
    "ledger_tiles_rowid": "5cf0176f821db3769110c1285ba08dd389247c8dc15edba55a205897fb0f9983",
}

# -- PostgreSQL -------------------------------------------------------------------------------------------

# Bits of pg_trigger.tgtype.
ROW: Final = 1
BEFORE: Final = 2
INSERT: Final = 4
DELETE: Final = 8
UPDATE: Final = 16
TRUNCATE: Final = 32


@dataclass(frozen=True, slots=True)
class PostgresTrigger:
    """When a trigger fires (`kind`: the bits of pg_trigger.tgtype), and which function it calls."""

    table: str
    kind: int
    function: str


_ONLY_GROW: Final = (*(table.name for table in LEDGER_TABLES), approval_uses.name, duty_limits.name)

POSTGRES_TRIGGERS: Final[Mapping[str, PostgresTrigger]] = {
    **{
        f"{table}_refuse": PostgresTrigger(table, BEFORE | UPDATE | DELETE | TRUNCATE, "guard_refuse")
        for table in _ONLY_GROW
    },
    **{
        f"{table}_refuse_row": PostgresTrigger(table, ROW | BEFORE | UPDATE | DELETE, "guard_refuse")
        for table in _ONLY_GROW
    },
    "ledger_entries_next": PostgresTrigger("ledger_entries", ROW | BEFORE | INSERT, "guard_next_entry"),
    "ledger_heads_refuse": PostgresTrigger("ledger_heads", BEFORE | DELETE | TRUNCATE, "guard_refuse"),
    "ledger_heads_refuse_row": PostgresTrigger("ledger_heads", ROW | BEFORE | DELETE, "guard_refuse"),
    "ledger_heads_forward": PostgresTrigger("ledger_heads", ROW | BEFORE | UPDATE, "guard_head"),
    "acts_refuse": PostgresTrigger("acts", BEFORE | DELETE | TRUNCATE, "guard_refuse"),
    "acts_refuse_row": PostgresTrigger("acts", ROW | BEFORE | DELETE, "guard_refuse"),
    "acts_within_limits": PostgresTrigger("acts", ROW | BEFORE | INSERT, "guard_act"),
    "acts_fixed": PostgresTrigger("acts", ROW | BEFORE | UPDATE, "guard_fixed_act"),
}
# Function -> fingerprint of its language, settings and body (without the name of the schema).
POSTGRES_FUNCTIONS: Final[Mapping[str, str]] = {
    "guard_act": "fe3f99fba2c4b355401b3c825c5a2dba180e8d6bce8b5582a8766c07af67752c",
    "guard_fixed_act": "9d64c4687dcb7a8236b9ad0f232fd5e64db505369f7131a68229e82e9acf999e",
    "guard_head": "6ec81333ce17a84b98e2425efa16aded5e50daed62b653572ec3908280db4128",
    "guard_next_entry": "2d880db6d940923da2bfe5eaa92a0b319daedfef6ad2279442e4f1db4e1384a0",
    "guard_refuse": "eccb6c14342bf8f15a07e5fffb877873e4ce683c179c026cb13daa07bd782110",
}
