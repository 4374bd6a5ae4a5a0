# The include graph: which headers, by first folder or file name under include/gossip, a layer includes besides itself.
# Each line names only lines above it, so the graph cannot have a ring.
set(may_version.hpp)                                          # names the namespace of all others
set(may_platform.hpp version.hpp)
set(may_fwd.hpp     version.hpp)
set(may_core        version.hpp platform.hpp fwd.hpp)
set(may_concurrency platform.hpp)                             # knows nothing of events
set(may_dispatch    platform.hpp core concurrency)
set(may_filter      platform.hpp core)
set(may_middleware  platform.hpp core)
set(may_batch       core concurrency dispatch)
set(may_provider    version.hpp platform.hpp core concurrency dispatch)
set(may_bus         platform.hpp fwd.hpp core concurrency dispatch provider) # fwd.hpp has the default arguments
set(may_gossip.hpp  platform.hpp version.hpp fwd.hpp core concurrency dispatch filter middleware batch provider bus)
set(may_testing.hpp platform.hpp core)
set(may_redis.hpp   provider)                                 # and only redis.hpp may reach provider/redis/
