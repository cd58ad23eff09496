// io/nat/router.h: asks the router of the local network for a port: UPnP IGD (libminiupnpc), else
// NAT-PMP (libnatpmp). The router is the default gateway and nobody else: answers of other devices
// are ignored, and no request goes elsewhere, whatever a description names.
//
// Blocks, for seconds when all is well, and the libraries know no end of an answer that goes on and
// on: for the process of router_process.h.
#pragma once

#include "io/nat/port_keeper.h"

namespace kith::io {

class Router {
public:
    // As wanted, or with another external port. Code::unavailable: no router answers, or it
    // refuses.
    static base::Result<PortMapping> map(PortMapping const& wanted);
    // Takes the mapping back, on every way it may have been made; errors change nothing.
    static void release(PortMapping const& mapping);
};

}  // namespace kith::io
