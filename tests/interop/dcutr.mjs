// dcutr.mjs RELAY_PEER: hole punching (relay/DCUtR) with js-libp2p in both roles, over a relay of ours. Both ends are on
// loopback, where nothing has to be punched: what is shown is that the two understand each other, and end with one
// direct connection on which the same peers proved themselves. Prints one line per check.
import { OurPeer, check, finish, jsNode, within } from './harness.mjs'

const { tcp } = await import('@libp2p/tcp')
const { identify } = await import('@libp2p/identify')
const { ping } = await import('@libp2p/ping')
const { circuitRelayTransport } = await import('@libp2p/circuit-relay-v2')
const { dcutr } = await import('@libp2p/dcutr')
const { multiaddr } = await import('@multiformats/multiaddr')

// js dials public addresses only; here there are none.
function dcutrOnLoopback () {
  const make = dcutr({ timeout: 8000 })
  return components => {
    const service = make(components)
    service.getDialableMultiaddrs = addresses => addresses.map(one => multiaddr(one))
      .filter(one => one.toString().includes('/tcp/') && !one.toString().includes('p2p-circuit'))
    return service
  }
}

const punchingNode = listen => jsNode({
  addresses: { listen },
  transports: [tcp(), circuitRelayTransport()],
  services: { identify: identify(), ping: ping(), dcutr: dcutrOnLoopback() },
  connectionGater: { denyDialMultiaddr: () => false }
})

async function ourPeer (binary, grant) {
  const peer = new OurPeer(binary, grant)
  const listening = await peer.next('listening')
  peer.id = listening.peer
  peer.address = `/ip4/127.0.0.1/tcp/${listening.port}/p2p/${listening.peer}`
  return peer
}

async function until (condition, what) {
  await within((async () => {
    while (!condition()) await new Promise(resolve => setTimeout(resolve, 50))
  })(), what)
}

const isRelayed = connection => connection.remoteAddr.toString().includes('p2p-circuit')
const directTo = (node, peer) => node.getConnections()
  .filter(one => one.remotePeer.toString() === peer && !isRelayed(one) && one.status === 'open')

// The next direct connection to `peer`: others (to the relay, relayed ones) are passed over.
async function directOf (ours, peer) {
  for (;;) {
    const event = await ours.next('connected')
    if (event.path === 'direct' && event.peer === peer) return event
  }
}

async function weBegin (binary) {
  const relay = await ourPeer(binary, 'unlimited')
  const ours = await ourPeer(binary, 'refused')
  ours.send(`dial ${relay.address}`)
  await ours.next('connected')
  ours.send('reserve')
  const reserved = await ours.next('reserved', 'down')
  const js = await punchingNode(['/ip4/127.0.0.1/tcp/0'])
  const relayed = await within(js.dial(multiaddr(`${reserved.address}/p2p/${ours.id}`)), 'dial through the relay')
  check('js reaches us through the relay', isRelayed(relayed))
  await ours.next('connected')
  ours.send('upgrade')
  const direct = await directOf(ours, js.peerId.toString())
  check('we begin: js dials us directly, as the client', direct.direction === 'inbound', JSON.stringify(direct))
  await until(() => directTo(js, ours.id).length > 0, 'direct connection at js')
  check('js sees the same peer on it', directTo(js, ours.id)[0].direction === 'outbound')
  await until(() => relayed.status !== 'open', 'end of the relayed connection')
  check('js gives the relayed connection up', true)
  const rtt = await within(js.services.ping.ping(directTo(js, ours.id)[0].remotePeer), 'ping')
  check('js pings us directly', rtt >= 0)
  await within(js.stop(), 'stop of js')
  await ours.stop()
  await relay.stop()
}

async function jsBegins (binary) {
  const relay = await ourPeer(binary, 'unlimited')
  const js = await punchingNode(['/ip4/127.0.0.1/tcp/0', `${relay.address}/p2p-circuit`])
  await until(() => js.getMultiaddrs().some(one => one.toString().includes('/p2p-circuit')), 'reservation of js')
  const ours = await ourPeer(binary, 'refused')
  ours.send(`dial ${relay.address}/p2p-circuit/p2p/${js.peerId}`)
  const direct = await directOf(ours, js.peerId.toString())
  check('js begins: we dial it directly, as the client', direct.direction === 'outbound', JSON.stringify(direct))
  await until(() => directTo(js, ours.id).length > 0, 'direct connection at js')
  check('js sees the same peer on it', directTo(js, ours.id).some(one => one.direction === 'inbound'))
  ours.send('ping')
  check('we ping js directly', (await ours.next('pinged', 'reset')).event === 'pinged')
  await within(js.stop(), 'stop of js')
  await ours.stop()
  await relay.stop()
}

const binary = process.argv[2]
for (const step of [weBegin, jsBegins]) {
  try {
    await step(binary)
  } catch (error) {
    check(step.name, false, error.stack)
  }
}
finish()
