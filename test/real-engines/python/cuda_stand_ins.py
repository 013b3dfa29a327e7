"""Makes stand-ins for the CUDA libraries that torch links, so that it can be imported on a machine without a GPU.

Usage: cuda_stand_ins.py SITE_PACKAGES

The package index has torch for CUDA only: its import asks for libraries that come in some 4 GB of further packages, of which
nothing runs without a GPU. A stand-in has the names that torch looks up. Each answers 35 (cudaErrorInsufficientDriver), which
is what the true library says where there is no driver; what registers kernels while torch is loaded answers success.
Never for a machine with a GPU: torch would not find it.
"""

import os
import re
import subprocess
import sys
import tempfile

CUDA_LIBRARY = re.compile(r"lib(cu|nv|nccl)")
CUDA_NAME = re.compile(r"(__)?(cu|nv)|p?nccl")


def printed_by(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def read_symbols(folder):
    """The CUDA libraries that are looked for, and the names that nobody defines, each with its version or ""."""
    files = sorted(name for name in os.listdir(folder) if ".so" in name)
    libraries, undefined, defined = [], {}, set()
    for path in (os.path.join(folder, name) for name in files):
        for library in re.findall(r"NEEDED.*\[(.+?)\]", printed_by("readelf", "-d", path)):
            if library not in files and library not in libraries and CUDA_LIBRARY.match(library):
                libraries.append(library)
        for line in printed_by("nm", "-D", path).splitlines():
            kind, symbol = line.split()[-2:]
            name, _, version = symbol.partition("@")
            if kind == "U":
                undefined[name] = version.lstrip("@")
            elif kind not in "vw":
                defined.add(name)
    missing = {name: version for name, version in undefined.items() if name not in defined and CUDA_NAME.match(name)}
    return libraries, missing


def body_of(name):
    if name == "__cudaRegisterFatBinary":
        return f"static char handle[4096]; void *{name}(void) {{ return handle; }}"
    return f"int {name}(void) {{ return {0 if name.startswith('__cuda') else 35}; }}"


def make(folder, library, names, versions):
    with tempfile.TemporaryDirectory() as work:
        source, script = os.path.join(work, "names.c"), os.path.join(work, "versions")
        with open(source, "w") as file:
            file.write("\n".join(map(body_of, names)) + "\n")
        command = ["gcc", "-w", "-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{library}", "-o", os.path.join(folder, library)]
        if versions:
            with open(script, "w") as file:
                for version, own in versions.items():
                    file.write(f"{version} {{ global: {'; '.join(own)}; }};\n")
            command.append(f"-Wl,--version-script={script}")
        subprocess.run([*command, source], check=True)


def main():
    folder = os.path.join(sys.argv[1], "torch", "lib")
    libraries, missing = read_symbols(folder)
    for library in libraries:
        # A version is named like its library. What has none is found wherever it is.
        own = [name for name, version in missing.items() if version == library]
        loose = [name for name, version in missing.items() if version not in libraries] if library == libraries[0] else []
        make(folder, library, own + loose, {library: own} if own else {})
    print(f"{len(libraries)} stand-ins with {len(missing)} names")


if __name__ == "__main__":
    main()
