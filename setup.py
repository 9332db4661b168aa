"""The compiled part of the importer; everything else about the distribution is in pyproject.toml.

The images of the other services are built without the importer's sources, and so without its compiled part.
"""

from pathlib import Path

from setuptools import Extension, setup

NATIVE = Path("services/importer/native")

RECORDS = Extension(
    "services.importer._records",
    sources=[str(source) for source in sorted(NATIVE.glob("*.c"))],
    depends=[str(header) for header in sorted(NATIVE.glob("*.h"))],
    define_macros=[("_GNU_SOURCE", None)],  # strtod_l
    libraries=["m"],
    extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra"],
    py_limited_api=True,
)

setup(ext_modules=[RECORDS] if NATIVE.exists() else [], options={"bdist_wheel": {"py_limited_api": "cp311"}})
