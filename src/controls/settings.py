"""Settings, from the environment (`CONTROLS_…`) or the command line; every one has a safe default or none."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Mode(StrEnum):
    """`production` refuses demo keys; `demo` is for trying things out."""

    PRODUCTION = "production"
    DEMO = "demo"


class Settings(BaseSettings):
    """What one service process is told.

    `signing_key_file` holds the ledger's private key (signed-note form, mode 0600). `checkpoint_file` is
    where the newest checkpoint is kept outside the database, so that a restored backup is noticed.
    """

    model_config = SettingsConfigDict(env_prefix="CONTROLS_", extra="forbid")

    database_url: str = Field(
        default="sqlite+aiosqlite:///var/controls.db",
        description="sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER@HOST/NAME",
    )
    tenant: str = Field(default="default", pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    mode: Mode = Mode.PRODUCTION
    engine: str = Field(default="both", pattern="^(both|durable|reference)$")
    signing_key_file: Path = Path("var/ledger.key")
    checkpoint_file: Path = Path("var/checkpoint.txt")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    max_body_bytes: int = Field(default=1_048_576, ge=1024, le=16_777_216)
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Under which callers reach the service, such as https://controls.example.com; AuthZEN "
        "metadata names it. Empty: the address that each request used.",
    )
    pool_size: int = Field(default=5, ge=2, le=50)

    @field_validator("database_url")
    @classmethod
    def _is_async(cls, value: str) -> str:
        if not value.startswith(("sqlite+aiosqlite:///", "postgresql+asyncpg://")):
            raise ValueError("use sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER@HOST/NAME")
        return value
