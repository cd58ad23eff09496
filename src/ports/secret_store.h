// ports/secret_store.h: where the few secrets that must survive a restart live (swarm.key). io/
// keeps them in files that only their owner can read; sim/ in memory.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace kith::ports {

class SecretStore {
public:
    virtual ~SecretStore() = default;
    // Code::not_found when there is none; Code::forbidden when others could have read it.
    virtual base::Result<base::Bytes> read(std::string_view name) = 0;
    virtual base::Status replace(std::string_view name, base::ByteView secret) = 0;
};

}  // namespace kith::ports
