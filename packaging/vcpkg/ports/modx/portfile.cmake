# An overlay port: builds the checkout that it lies in (vcpkg install modx --overlay-ports=packaging/vcpkg/ports).
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../../.." ABSOLUTE)
vcpkg_check_linkage(ONLY_STATIC_LIBRARY)
vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS
  INVERTED_FEATURES
    analysis CMAKE_DISABLE_FIND_PACKAGE_nlohmann_json
    io CMAKE_DISABLE_FIND_PACKAGE_xxHash
    text CMAKE_DISABLE_FIND_PACKAGE_PCRE2)

vcpkg_cmake_configure(SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS ${FEATURE_OPTIONS} -DMODX_TESTS=OFF -DMODX_EXAMPLES=OFF -DMODX_NATIVE=OFF -DMODX_INSTALL=ON)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/modx)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
set(VCPKG_POLICY_SKIP_COPYRIGHT_CHECK enabled)  # modx has no licence file yet
