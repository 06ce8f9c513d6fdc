"""Checks the Conan recipe without Conan: its methods run on short stand-ins, and what they say is compared with the
project's version and table of dependencies and with the install in PREFIX; the sources it exports are configured.

    python3 conan.py ROOT PREFIX LIBDIR BINARY VERSION GENERATOR CXX
"""
import ast
import fnmatch
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import types

sys.dont_write_bytecode = True
root, prefix, libdir, binary, version, generator, compiler = sys.argv[1:]
cmake = os.environ.get("CMAKE", "cmake")
problems = []


def expect(what, expected, found):
    if expected != found:
        problems.append(f"{what}: expected {expected}, found {found}")


# -- stand-ins
class ConanFile:
    pass


class Info:
    def __init__(self):
        self.properties, self.requires, self.libs, self.defines, self.system_libs = {}, [], [], [], []

    def set_property(self, name, value):
        self.properties[name] = value


class CppInfo(Info):
    def __init__(self):
        super().__init__()
        self.components = Components()


class Components(dict):
    def __missing__(self, name):
        self[name] = Info()
        return self[name]


class CMakeToolchain:
    made = None

    def __init__(self, _):
        self.cache_variables = {}
        CMakeToolchain.made = self

    def generate(self):
        pass


class Anything:
    installed = []

    def __init__(self, *_):
        pass

    def generate(self):
        pass

    def install(self, packages=()):
        Anything.installed += packages


def copy(_, pattern, src, dst):
    for folder, _, files in os.walk(src):
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), src)
            if path[0] != "." and fnmatch.fnmatch(path, pattern):
                to = os.path.join(dst, path)
                os.makedirs(os.path.dirname(to), exist_ok=True)
                shutil.copyfile(os.path.join(src, path), to)


def load(_, path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def module(name, **contents):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(contents)


module("conan", ConanFile=ConanFile)
module("conan.tools")
module("conan.tools.build", check_min_cppstd=lambda *_: None, can_run=lambda _: True)
module("conan.tools.cmake", CMake=Anything, CMakeDeps=Anything, CMakeToolchain=CMakeToolchain, cmake_layout=lambda _: None)
module("conan.tools.files", copy=copy, load=load, rmdir=lambda *_: None)
module("conan.tools.system")
module("conan.tools.system.package_manager", Apt=Anything)

folder = os.path.join(root, "packaging", "conan")
ast.parse(load(None, os.path.join(folder, "test_package", "conanfile.py")))
spec = importlib.util.spec_from_file_location("recipe", os.path.join(folder, "conanfile.py"))
recipe_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(recipe_module)


def recipe(**options):
    made = recipe_module.Modx()
    made.recipe_folder = folder
    made.export_sources_folder = os.path.join(binary, "exported")
    made.options = types.SimpleNamespace(**{**made.default_options, **options})
    made.settings = types.SimpleNamespace(os="Linux")
    made.required = []
    made.requires = lambda name, **_: made.required.append(name)
    made.cpp_info = CppInfo()
    for method in (made.set_version, made.configure, made.requirements, made.system_requirements, made.generate,
                   made.package_info):
        method()
    return made


# -- what the project says: needs[component] as Conan writes the packages, and what is installed
table = load(None, os.path.join(root, "cmake", "modxDependencies.cmake"))
needs, debian = {}, []
for name, value in re.findall(r"^set\(modx_([a-z]+)_needs (.*)\)$", table, re.M):
    packages = re.findall(r'"(\w+) ([\w-]+)[^"]*"', value)
    needs[name] = {package.lower() for package, _ in packages if package not in ("Threads", "Random123")}
    debian += [at for package, at in packages if package == "Random123"]
needs["core"] = {"eigen" if name == "eigen3" else name for name in needs["core"]}
needs["io"] |= needs["analysis"]
needs["text"] |= needs["io"]
package_folder = os.path.join(prefix, libdir, "cmake", "modx")
targets = set()
for name in os.listdir(package_folder):
    targets |= set(re.findall(r"^add_library\((modx::\w+)", load(None, os.path.join(package_folder, name)), re.M))

targets.discard("modx::cuda")  # not built by the recipe

# -- the recipe
shutil.rmtree(binary, ignore_errors=True)
for options, components in (({}, ["core", "cpu"]), ({"analysis": True}, ["core", "cpu", "analysis"]),
                            ({"io": True}, ["core", "cpu", "analysis", "io"]),
                            ({"text": True}, ["core", "cpu", "analysis", "io", "text"])):
    made = recipe(**options)
    expect("name", "modx", made.name)
    expect("version", version, made.version)
    required = {name.split("/")[0] for name in made.required}
    expect(f"requirements with {options}", set().union(*(needs[c] for c in components)), required)
    expect(f"components with {options}", set(components), set(made.cpp_info.components))
    for name, info in made.cpp_info.components.items():
        outside = {r.split("::")[0] for r in info.requires if "::" in r}
        inside = {r for r in info.requires if "::" not in r}
        reached = outside.union(*(needs[r] for r in inside))
        expect(f"packages of component {name}", needs[name] | needs["core"], reached | needs["core"])
        expect(f"unknown components that {name} requires", set(), inside - set(components))
    for info in made.cpp_info.components.values():
        for library in info.libs:
            expect(f"lib{library}.a in the install", True, os.path.exists(os.path.join(prefix, libdir, f"lib{library}.a")))
expect("Debian's package of Random123", set(debian), set(Anything.installed))
expect("targets", targets, {info.properties["cmake_target_name"] for info in made.cpp_info.components.values()})
expect("definitions of modx::cpu", ["MODX_COMPILED"], made.cpp_info.components["cpu"].defines)

# -- what it exports is enough to configure modx with the variables it sets, each of which modx knows
made.export_sources()
arguments = [cmake, "-S", made.export_sources_folder, "-B", os.path.join(binary, "build"), "-G", generator,
             f"-DCMAKE_CXX_COMPILER={compiler}"]
arguments += [f"-D{name}={'ON' if value else 'OFF'}" for name, value in CMakeToolchain.made.cache_variables.items()]
done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
expect("configuring the exported sources", 0, done.returncode)
if done.returncode or "Manually-specified" in done.stdout or "MODX_NATIVE=OFF" in done.stdout:
    problems.append(done.stdout)

print("\n".join(problems) if problems else f"recipe of modx {made.version}: {', '.join(sorted(targets))}")
sys.exit(1 if problems else 0)
