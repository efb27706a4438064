"""The URLs of the tutorial that most sites of this stack grew from."""
from django.conf.urls import include, url
from django.contrib.auth.models import User
from rest_framework import permissions, routers, serializers, viewsets
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_jwt.authentication import JSONWebTokenAuthentication
from rest_framework_jwt.views import obtain_jwt_token, refresh_jwt_token, verify_jwt_token


class UserSerializer(serializers.HyperlinkedModelSerializer):
    class Meta:
        model = User
        fields = ("url", "username", "email", "is_staff")


class UserViewSet(viewsets.ModelViewSet):
    queryset = User.objects.order_by("id")
    serializer_class = UserSerializer


class RestrictedView(APIView):
    permission_classes = (permissions.IsAuthenticated,)
    authentication_classes = (JSONWebTokenAuthentication,)

    def get(self, request):
        return Response(
            {
                "id": request.user.id,
                "username": request.user.username,
                "token": str(request.auth),
            }
        )


router = routers.DefaultRouter()
router.register(r"users", UserViewSet)

urlpatterns = [
    url(r"^", include(router.urls)),
    url(r"^accounts/", include("allauth.urls")),
    url(r"^api-token-auth/", obtain_jwt_token),
    url(r"^api-token-refresh/", refresh_jwt_token),
    url(r"^api-token-verify/", verify_jwt_token),
    url(r"^restricted/$", RestrictedView.as_view()),
]
