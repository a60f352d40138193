//! A small SIP/IP core: registrar, asserted identities, service routing. It stands in for an IMS core in tests and in
//! the demonstration.
//!
//! It authenticates nobody: whoever registers as a known user is that user. One core serves any number of users, each
//! with the Participating Function (PF) that provisioning names, or with none.
//!
//! # The way of a request
//!
//! `C` is the core's own URI (`sip:core.home.test`), `PF-A` and `PF-B` those of the users' Participating Functions.
//!
//! | leg | Route as it arrives there | what stands in it besides |
//! |---|---|---|
//! | client A → core | `<C;lr;orig>`: the Service-Route of A's registration | P-Preferred-Identity, P-Preferred-Service |
//! | core → PF-A | `<PF-A;lr>, <C;lr;after=orig>` | P-Asserted-Identity; P-Served-User of A with `sescase=orig;regstate=reg` |
//! | PF-A → core | `<C;lr;after=orig>` | P-Asserted-Service in place of P-Preferred-Service |
//! | core → PF-B | `<PF-B;lr>, <C;lr;after=term>` | P-Served-User of B with `sescase=term;regstate=reg` or `unreg` |
//! | PF-B → core | `<C;lr;after=term>` | one request for each device: see below |
//! | core → client B | none (or B's Path) | Request-URI is the registered contact, P-Called-Party-ID what it was before |
//!
//! ## What a Participating Function does with it
//!
//! * **Which role it plays, and for whom**, is said by P-Served-User (RFC 5502): `sescase=orig` or `sescase=term`, and
//!   the served user. There is no other marker; the parameters of the core's own Route URI are the core's business.
//! * It takes its **own Route value off** the top (RFC 3261 §16.4) and sends on to the **next Route value**, which is
//!   the core's. It copies that value octet for octet, never makes one.
//! * As an originating function it leaves the Request-URI alone. As a terminating function it makes one request for
//!   each device of the served user and says which device in one of two ways:
//!   1. Request-URI: the address-of-record; and an Accept-Contact of its own with nothing but
//!      `+sip.instance="<urn:...>";explicit;require` (TS 6.1.2), beside the Accept-Contact with the ICSI; or
//!   2. Request-URI: the contact address of the device as registered.
//!
//!   The core delivers it on the flow from which that device registered. A device that is not there (any more), or
//!   that did not register the ICSI asked for, gives 480. With an address-of-record and no `+sip.instance` the core
//!   forks to every device that registered the ICSI, itself.
//! * For an INVITE it proxies with Record-Route to stay in the dialog. What comes inside the dialog carries Route values of
//!   the dialog alone (no `after`, no P-Served-User): the PF takes off its own and passes on to the next.
//! * A request that a PF makes by itself (a notification on behalf of its user) goes to the core with
//!   `Route: <C;lr>`, P-Asserted-Identity set by the PF, and is routed to the terminating side of its Request-URI.
//! * It is a trusted element: what it asserts is believed. P-Served-User is taken off by the core.
//! * PF-B is asked for **unregistered users** too (`regstate=unreg`): it answers 480, or defers.
//!
//! ## How a Participating Function knows the devices: third-party registration (3GPP TS 24.229 §5.4.1.7)
//!
//! After each REGISTER that changed or refreshed something the core sends one to the user's PF:
//!
//! ```text
//! REGISTER sip:pf-b.home.test SIP/2.0
//! To: <sip:bob@home.test>              the user's default identity
//! From: <sip:core.home.test>;tag=...
//! Contact: <sip:core.home.test>
//! Expires: 600                         the longest that is left of any of the user's bindings; 0: none is left
//! Content-Type: multipart/mixed;boundary=...
//!
//!    part 1: message/sip, the REGISTER as it came from the client (its User-Agent...)
//!    part 2: message/sip, the 200 that the client got
//! ```
//!
//! Part 2 holds **all bindings of the user**, one Contact value each with what that device registered
//! (`+sip.instance`, `+g.3gpp.icsi-ref`, display name, ...) and `expires` in seconds from now, and P-Associated-URI with
//! all the identities of the user. It replaces whatever the PF knew of the user: no list has to be merged. The PF lets a binding
//! go by itself when its `expires` is over. When the last binding has run out or was taken out, Expires is 0; when that was not by a
//! REGISTER there is no body. Call-ID is the same for all third-party REGISTERs about one user, CSeq rises, and a
//! new one is sent only when the last was answered. PFs answer 200.
//!
//! ## Everything else
//!
//! * A request from outside (a flow without trust) that no registered client sent gets 403. A client is known by the flow on which it
//!   registered, or by the same source IP address and the same Via sent-by on another flow.
//! * P-Asserted-Identity, P-Asserted-Service, P-Served-User and P-Called-Party-ID from outside are taken out, further Route values too
//!   (nobody goes past the services); then P-Asserted-Identity is set: the P-Preferred-Identity when it is one of the
//!   user's identities, else the default one.
//! * Services are asked for requests whose Accept-Contact, P-Asserted-Service or P-Preferred-Service names a
//!   CPM feature, when the user has a PF. Others go straight to the next step.
//! * With `Privacy: id`, P-Asserted-Identity does not go out to the client.
//! * 404: nobody here has this address. 480: the user has no device that fits.
//! * In a dialog requests follow the Record-Route values that the core put in (it does so for INVITE, on each pass).
