"""Conan 2 recipe: builds the checkout that it lies in (conan create packaging/conan)."""
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir
from conan.tools.system.package_manager import Apt

ROOT = os.path.join("..", "..")


class Modx(ConanFile):
    name = "modx"
    description = "Modular learning in C++20: mixtures of experts, residual experts, routers and combiners, header-only"
    package_type = "static-library"
    settings = "os", "compiler", "build_type", "arch"
    options = {"fPIC": [True, False], "analysis": [True, False], "io": [True, False], "text": [True, False]}
    default_options = {"fPIC": True, "analysis": False, "io": False, "text": False}

    def set_version(self):
        text = load(self, os.path.join(self.recipe_folder, ROOT, "include", "modx", "version.hpp"))
        self.version = re.search(r'#define MODX_VERSION "(.*)"', text).group(1)

    def export_sources(self):
        root = os.path.join(self.recipe_folder, ROOT)
        for pattern in ("CMakeLists.txt", "cmake/*", "include/*"):
            copy(self, pattern, src=root, dst=self.export_sources_folder)

    def configure(self):
        if self.options.text:
            self.options.io = True
        if self.options.io:
            self.options.analysis = True

    def layout(self):
        cmake_layout(self)

    def validate(self):
        check_min_cppstd(self, 20)

    def system_requirements(self):
        Apt(self).install(["librandom123-dev"])  # Random123 has no Conan package: CMake finds the system's

    def requirements(self):
        self.requires("eigen/3.4.0", transitive_headers=True)
        if self.options.analysis:
            self.requires("nlohmann_json/[>=3.11 <4]", transitive_headers=True)
        if self.options.io:
            self.requires("zlib/[>=1.2.11 <2]", transitive_headers=True, transitive_libs=True)
            self.requires("xxhash/[>=0.8.1 <0.9]", transitive_headers=True)
        if self.options.text:
            self.requires("pcre2/[>=10.40 <11]", transitive_headers=True, transitive_libs=True)
            self.requires("utf8proc/[>=2.8 <3]", transitive_headers=True, transitive_libs=True)

    def generate(self):
        toolchain = CMakeToolchain(self)
        for name in ("TESTS", "EXAMPLES", "NATIVE"):
            toolchain.cache_variables[f"MODX_{name}"] = False
        toolchain.cache_variables["MODX_INSTALL"] = True
        toolchain.cache_variables["CMAKE_DISABLE_FIND_PACKAGE_nlohmann_json"] = not self.options.analysis
        toolchain.cache_variables["CMAKE_DISABLE_FIND_PACKAGE_xxHash"] = not self.options.io
        toolchain.cache_variables["CMAKE_DISABLE_FIND_PACKAGE_PCRE2"] = not self.options.text
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))  # CMakeDeps writes its own, of package_info
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "modx")
        self.cpp_info.set_property("cmake_target_name", "modx::everything")  # modx::modx is the headers alone

        def component(name, target, requires):
            info = self.cpp_info.components[name]
            info.set_property("cmake_target_name", target)
            info.requires = requires
            return info

        core = component("core", "modx::modx", ["eigen::eigen"])
        if self.settings.os in ("Linux", "FreeBSD"):
            core.system_libs = ["pthread"]
        cpu = component("cpu", "modx::cpu", ["core"])
        cpu.libs = ["modx_cpu"]
        cpu.defines = ["MODX_COMPILED"]
        if self.options.analysis:
            component("analysis", "modx::analysis", ["core", "nlohmann_json::nlohmann_json"])
        if self.options.io:
            component("io", "modx::io", ["core", "analysis", "zlib::zlib", "xxhash::xxhash"])
        if self.options.text:
            component("text", "modx::text", ["io", "pcre2::pcre2", "utf8proc::utf8proc"])
