# The installed package: headers, gossipConfig.cmake with one export per library, gossip.pc. Nothing in it depends on
# the architecture, so all of it lives under share/, and it may be moved after installation.
if(NOT GOSSIP_INSTALL)
    return()
endif()

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(gossip_config_dir "${CMAKE_INSTALL_DATADIR}/cmake/gossip")
set(gossip_pkgconfig_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")

# A component's targets are exported on their own, so that a package without Redis does not ask for hiredis.
function(gossip_install_library name)
    install(TARGETS gossip_${name} EXPORT gossip_${name}_targets FILE_SET HEADERS)
    install(EXPORT gossip_${name}_targets NAMESPACE gossip:: DESTINATION "${gossip_config_dir}")
endfunction()

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/gossipConfig.cmake.in" gossipConfig.cmake
    INSTALL_DESTINATION "${gossip_config_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(gossipConfigVersion.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/gossipConfig.cmake" "${PROJECT_BINARY_DIR}/gossipConfigVersion.cmake"
    DESTINATION "${gossip_config_dir}")

# gossip.pc finds the prefix from its own place; absolute directories are kept as they were given.
file(RELATIVE_PATH gossip_pc_up "/prefix/${gossip_pkgconfig_dir}" "/prefix")
if(IS_ABSOLUTE "${CMAKE_INSTALL_DATADIR}")
    set(gossip_pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    string(REGEX REPLACE "/$" "" gossip_pc_prefix "\${pcfiledir}/${gossip_pc_up}")
endif()
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(gossip_pc_include "${CMAKE_INSTALL_INCLUDEDIR}")
else()
    set(gossip_pc_include "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/gossip.pc.in" gossip.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/gossip.pc" DESTINATION "${gossip_pkgconfig_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/gossip")
